"""The REST API: HTTP in, HTTP out. The rules for assets are in `inventory`."""
