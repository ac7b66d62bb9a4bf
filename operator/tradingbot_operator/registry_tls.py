"""TLS to the registry: which server is trusted, and where the token may be sent.

Two protections against impostors:

- The registry's host name is absolute, so that no search list of resolv.conf applies. A relative
  `X.Y.svc` is first tried as `X.Y.svc.svc.CLUSTER_DOMAIN`, whose address is decided by anyone who
  owns a namespace called `svc`.
- The registry proves its name in a TLS handshake before the token is sent, so a wrong answer of DNS
  or the network is not enough.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from tradingbot_process.addresses import is_loopback

logger = logging.getLogger(__name__)

DEFAULT_CLUSTER_DOMAIN = "cluster.local"
RESOLV_CONF = Path("/etc/resolv.conf")


class AuthorityError(Exception):
    """The file with the registry's authorities can't be loaded, and never could be."""


class TrustedAuthorities:
    """The authorities in `file`, reloaded on change; without a file, those of the system."""

    def __init__(self, file: str) -> None:
        self._file = Path(file) if file else None
        self._seen: tuple[int, int, int] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection.

        If the file can't be loaded now, returns the last context. Raises AuthorityError if there is
        none.
        """
        if self._file is None:
            self._context = self._context or ssl.create_default_context()
            return self._context
        try:
            found = self._file.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._context is None or seen != self._seen:
                self._seen = seen
                self._context = ssl.create_default_context(cafile=self._file)
        except OSError as error:  # ssl.SSLError is one
            if self._context is None:
                reason = getattr(error, "reason", None) or error.strerror
                raise AuthorityError(
                    f"{self._file} can't be used as the registry's authority: {reason}"
                ) from error
            logger.warning(
                "Could not load %s; the authorities loaded before are still used", self._file
            )
        return self._context


def may_carry_token(url: str) -> bool:
    """Return whether a token may be sent to `url`: over TLS, or to this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    return is_loopback(parts.hostname or "")


def cluster_domain(resolv_conf: Path = RESOLV_CONF) -> str:
    """Return the cluster's DNS domain from the kubelet's resolv.conf, else `cluster.local`.

    The kubelet writes `search NS.svc.DOMAIN svc.DOMAIN DOMAIN`.
    """
    try:
        lines = resolv_conf.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return DEFAULT_CLUSTER_DOMAIN
    for line in lines:
        keyword, *names = line.split() or [""]
        domains = {name.rstrip(".") for name in names}
        if keyword != "search":
            continue
        for name in sorted(domains):
            if name.startswith("svc.") and name.removeprefix("svc.") in domains:
                return name.removeprefix("svc.")
    return DEFAULT_CLUSTER_DOMAIN
