"""The serving certificate, reloaded when it is replaced.

Each generation of tls.crt and tls.key gets an SSLContext of its own, filled from bytes that were
read and checked first; the listening context only points at the newest. So a handshake sees one
whole generation, whatever happens to the files meanwhile, also when the type of key changes (a
context that is loaded twice would keep an RSA certificate beside an elliptic-curve one).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from tradingbot_webhooks.errors import CertificateError
from tradingbot_webhooks.metrics import Metrics

logger = logging.getLogger(__name__)

_Fingerprint = tuple[tuple[int, int, int, int], ...]
_MAX_FILE = 1 << 20


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, ready to serve."""

    context: ssl.SSLContext
    expiry: datetime


class CertificateFollower:
    """Serve the certificate in `directory`, and the next one as soon as both files are complete."""

    def __init__(self, directory: Path, *, metrics: Metrics, client_ca: Path | None = None) -> None:
        """Read the pair; raise CertificateError if there is none that is valid.

        With `client_ca`, clients are asked for a certificate of this CA, but do not need one.
        """
        self._client_ca = _read(client_ca).decode("ascii", "replace") if client_ca else None
        self._files = (directory / "tls.crt", directory / "tls.key")
        self._metrics = metrics
        self._seen = _fingerprint(self._files)
        self._problem: str | None = None
        self.current = load(*self._files, client_ca=self._client_ca)
        self._metrics.certificate(reloaded=True, expiry=self.current.expiry.timestamp())
        self.context = _server_context(self._client_ca)
        self.context.sni_callback = self._use_current

    def check(self) -> None:
        """Check the files and load them if they changed. If that fails, the old pair stays."""
        seen = _fingerprint(self._files)
        if seen == self._seen and self._problem is None:
            return
        try:
            self.current = load(*self._files, client_ca=self._client_ca)
        except CertificateError as error:
            if str(error) != self._problem:
                logger.warning(
                    "Could not load the new certificate, the old one stays in use: %s", error
                )
                self._metrics.certificate(reloaded=False, expiry=None)
            self._problem = str(error)
            return
        # `seen` was taken before the files were read: a change in between is found next time.
        self._seen = seen
        self._problem = None
        self._metrics.certificate(reloaded=True, expiry=self.current.expiry.timestamp())
        logger.info("Reloaded the certificate", extra={"expires": self.current.expiry.isoformat()})

    async def follow(self, interval: float) -> None:
        """Check every `interval` seconds until cancelled."""
        while True:
            await asyncio.sleep(interval)
            self.check()

    def problem(self, now: datetime) -> str | None:
        """Return why clients do not accept the served certificate, or None."""
        if now >= self.current.expiry:
            return f"the certificate expired at {self.current.expiry:%Y-%m-%dT%H:%M:%SZ}"
        return None

    def _use_current(
        self, connection: ssl.SSLObject, _name: str | None, _listening: ssl.SSLContext
    ) -> None:
        connection.context = self.current.context


def load(cert_file: Path, key_file: Path, *, client_ca: str | None = None) -> Certificate:
    """Read a pair and check that it belongs together. Raises CertificateError otherwise."""
    certificate, key = _read(cert_file), _read(key_file)
    context = _server_context(client_ca)
    try:
        leaf = x509.load_pem_x509_certificates(certificate)[0]
        with _in_memory(certificate) as cert_path, _in_memory(key) as key_path:
            context.load_cert_chain(cert_path, key_path, password=_no_password)
    except ssl.SSLError as error:
        reason = (
            "they do not belong together"
            if error.reason == "KEY_VALUES_MISMATCH"
            else "the key is not an unencrypted PEM"
        )
        raise CertificateError(f"{cert_file} and {key_file}: {reason}") from error
    except ValueError as error:
        raise CertificateError(f"{cert_file} holds no certificate in PEM") from error
    return Certificate(context=context, expiry=leaf.not_valid_after_utc)


def _server_context(client_ca: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a handshake costs a client less than the server
    context.set_alpn_protocols(["http/1.1"])
    if client_ca is not None:
        try:
            context.load_verify_locations(cadata=client_ca)
        except ssl.SSLError as error:
            raise CertificateError("--client-ca holds no certificate in PEM") from error
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
    except FileNotFoundError as error:
        raise CertificateError(
            f"{path} does not exist: run `tradingbot certs`, or set --cert-dir to its directory"
        ) from error
    except OSError as error:
        raise CertificateError(f"{path} can't be read: {error.strerror}") from error
    if len(content) > _MAX_FILE:
        raise CertificateError(f"{path} is too large for a certificate")
    return content


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Yield a path from which OpenSSL can read `content`, and no other process can."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _no_password() -> str:
    raise ValueError("the key is encrypted")  # instead of OpenSSL's prompt on the terminal


def _fingerprint(files: tuple[Path, ...]) -> _Fingerprint:
    """Return a value that changes when a file, or a link on its path, changes."""
    fingerprint = []
    for path in files:
        try:
            found = path.stat()
        except OSError:
            fingerprint.append((0, 0, 0, 0))
        else:
            fingerprint.append((found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size))
    return tuple(fingerprint)
