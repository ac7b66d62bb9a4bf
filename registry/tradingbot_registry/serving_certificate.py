"""The registry's serving certificate, reloaded when its files change.

Each generation of tls.crt and tls.key gets a new context: a context that is loaded twice keeps an
RSA certificate beside an elliptic-curve one. The files are checked at each handshake, so a new
certificate needs no timer and no restart.
"""

import logging
import ssl
import threading
from pathlib import Path

from tradingbot_registry.errors import CertificateError

log = logging.getLogger(__name__)

_Fingerprint = tuple[tuple[int, int, int], ...]


class ServingCertificate:
    """The latest valid generation of tls.crt and tls.key in `directory`.

    Raises CertificateError if there is none at the start.
    """

    def __init__(self, directory: Path) -> None:
        self.certificate = directory / "tls.crt"
        self.key = directory / "tls.key"
        self._lock = threading.Lock()
        self._seen = self._fingerprint()
        self._problem = ""
        self._context = self._load()

    def reloading_context(self) -> ssl.SSLContext:
        """Return a context for a server: each of its handshakes uses `context()` at that time."""
        context = self._load()

        def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = self.context()

        # Called in each handshake, also if the client names no server.
        context.sni_callback = choose
        return context

    def context(self) -> ssl.SSLContext:
        """Return the context for the next handshake. An invalid pair keeps the previous one."""
        with self._lock:
            # Before the files are read: a change in between is noticed at the next handshake.
            seen = self._fingerprint()
            if seen == self._seen and not self._problem:
                return self._context
            try:
                self._context = self._load()
            except CertificateError as error:
                if str(error) != self._problem:
                    log.warning("the serving certificate is kept: %s", error)
                self._problem = str(error)
            else:
                self._seen, self._problem = seen, ""
                log.info("serving certificate reloaded")
            return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise CertificateError(
                f"{self.certificate} and {self.key} can't be used as certificate and key: {reason}"
            ) from error
        return context

    def _fingerprint(self) -> _Fingerprint:
        found = []
        for path in (self.certificate, self.key):
            try:
                status = path.stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(found)


def _no_password() -> str:
    raise ValueError("the key is encrypted")  # OpenSSL would ask for a password on the terminal
