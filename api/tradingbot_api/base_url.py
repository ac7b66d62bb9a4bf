"""What is wrong with the address of an API: its form, its host, its port.

Stricter than `urllib.parse`, which splits a URL and checks little: `https://ex..example` and
`https://1.2.3.999` are hosts to it. A client finds out when the bot trades.
"""

import re
from ipaddress import IPv4Address, IPv6Address

BASE_URL_FORM = "must be an absolute https URL (http only in mode Paper)"
HOST_FORM = (
    "must have a host that is an IP address (IPv6 in brackets) or a DNS name: labels of at most 63"
    " letters, digits and '-', with single dots between them, at most 253 characters"
)
IDN_FORM = "must have its host in ASCII; write an international name with xn-- labels"
PORT_FORM = "must have a port from 1 to 65535, or none"
MAX_NAME = 253
"""Characters of a DNS name, without a dot at its end."""

_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_HIGHEST_PORT = 65535


def base_url_problem(text: str) -> str | None:
    """Return what is wrong with a text of the form `https://AUTHORITY/PATH`, None if nothing is.

    The answer never quotes the text: people paste URLs with keys in them.
    """
    authority = text.split("://", 1)[1].split("/", 1)[0]
    if "@" in authority:
        return "must not contain user info; put credentials into the Secret"
    if "?" in text or "#" in text:
        return "must not contain a query or a fragment"
    problem = authority_problem(authority)
    if problem is None and not text.isprintable():
        return BASE_URL_FORM
    return problem


def authority_problem(authority: str) -> str | None:
    """Return what is wrong with `HOST` or `HOST:PORT`, None if nothing is.

    Examples of hosts: `api.example.com`, `api.example.com.`, `10.0.0.7`, `[fd00::7]`.
    """
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, colon, port = authority, "", ""
    if not host:
        return BASE_URL_FORM
    if colon and not (_PORT.fullmatch(port) and 0 < int(port) <= _HIGHEST_PORT):
        return PORT_FORM
    if host.startswith("["):
        return None if host.endswith("]") and _is_ipv6(host[1:-1]) else HOST_FORM
    if not host.isascii():
        return IDN_FORM
    return None if _is_ipv4_or_name(host) else HOST_FORM


def _is_ipv6(text: str) -> bool:
    """Return whether `text` is an IPv6 address. A zone (`fe80::1%eth0`) means one machine only."""
    if "%" in text:
        return False
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_ipv4_or_name(host: str) -> bool:
    """Return whether `host` is an IPv4 address or a DNS name.

    By its last label, as browsers and the URL standard decide it: no domain ends in a number, and
    what does would be read as an address in some forgotten form (`0x7f.1` is 127.0.0.1 to some).
    """
    if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        try:
            IPv4Address(host)
        except ValueError:
            return False
        return True
    name = host.removesuffix(".")
    return len(name) <= MAX_NAME and all(map(_is_label, name.split(".")))


def _is_label(label: str) -> bool:
    if not _LABEL.fullmatch(label):
        return False
    folded = label.lower()
    return not folded.startswith("xn--") or _is_international(folded[4:])


def _is_international(encoded: str) -> bool:
    """Return whether this is the Punycode of a label that is not ASCII."""
    try:
        label = encoded.encode("ascii").decode("punycode")
        printable = label.isprintable() and not label.isascii()
        return printable and label.encode("punycode") == encoded.encode("ascii")
    except ValueError:
        return False
