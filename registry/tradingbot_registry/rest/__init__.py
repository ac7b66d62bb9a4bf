"""The REST API: HTTP in, HTTP out. What happens to assets is decided in `catalog`."""
