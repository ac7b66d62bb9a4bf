"""What a release is made of: versions, notes, wheel, image, chart, manifest and SBOM.

`python -m release COMMAND`; the Makefile has a target for each command. docs/releasing.md
describes the order, and what the release workflow adds to it.
"""
