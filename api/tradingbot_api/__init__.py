"""The schema of trading.io/v1: one place for every field, bound, default, rule and description.

CRD manifests, admission checks, the operator's typed view, the command line and the reference
page all come from here. This package does no I/O and imports none of the others.
"""

GROUP = "trading.io"
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"
