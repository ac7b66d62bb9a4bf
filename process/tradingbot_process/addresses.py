"""Addresses of this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether `host` is a loopback address or `localhost`. No name is looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
