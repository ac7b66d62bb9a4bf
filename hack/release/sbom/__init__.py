"""The software bill of materials: what the image contains, as CycloneDX and SPDX.

`requirements` reads the hashed requirements, `contents` the package lists that are in the image,
`bill` joins them, and `cyclonedx_json` and `spdx_json` write the result.
"""
