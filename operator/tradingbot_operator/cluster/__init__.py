"""Reading and writing objects of the API server, through kopf."""

import sys

if "kubernetes" not in sys.modules:
    # kopf imports this client if it is installed, only to recognise its types: 287 modules, a sixth
    # of the CPU time of a start and of the memory. The operator uses kopf's own client. This
    # package is imported before any module of it that imports kopf.
    sys.modules["kubernetes"] = None  # type: ignore[assignment] # makes the import fail
    try:
        import kopf  # noqa: F401
    finally:
        del sys.modules["kubernetes"]
