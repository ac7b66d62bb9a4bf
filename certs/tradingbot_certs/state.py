"""Interpret what is stored. Pure.

A store holds authorities and a serving pair. `ca.crt` has every trusted authority; the keys show
the role of each one:

| authority | key      | role                                                                 |
|-----------|----------|----------------------------------------------------------------------|
| signing   | ca.key   | signs serving certificates                                           |
| successor | next.key | signs nothing yet; trusted in advance                                |
| retired   | none     | signs nothing; trusted while a certificate of it may be in service   |

`since` is when the current step was observed to have reached every API server or webhook server.
The serving pair is `tls.crt` and `tls.key`, with a copy of `ca.crt` beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tradingbot_certs.authority import (
    BACKDATE,
    Pair,
    certificate_pem,
    is_ours,
    issued_by,
    key_pem,
)
from tradingbot_certs.errors import ForeignCertificateError


@dataclass(frozen=True)
class Stored:
    """The content of a store; None for a missing entry."""

    ca_crt: bytes | None = None
    ca_key: bytes | None = None
    next_key: bytes | None = None
    since: bytes | None = None
    tls_crt: bytes | None = None
    tls_key: bytes | None = None
    tls_ca_crt: bytes | None = None


class Phase(StrEnum):
    """Progress of the replacement of the authority."""

    NONE = "none"
    INTRODUCING = "introducing"
    """There is a successor, and the API server is not known to trust it."""
    SETTLING = "settling"
    """The API server trusts the successor; it is given time to have that everywhere."""
    REPLACING = "replacing"
    """The successor signs; the old authority is trusted until every replica has moved."""


@dataclass(frozen=True)
class Authorities:
    """Every trusted authority, by role. There is at least one."""

    signing: Pair | None
    successor: Pair | None = None
    retired: tuple[x509.Certificate, ...] = ()
    since: datetime | None = None

    @property
    def trusted(self) -> tuple[x509.Certificate, ...]:
        pairs = (self.signing, self.successor)
        return (*(pair.certificate for pair in pairs if pair is not None), *self.retired)

    @property
    def ca_crt(self) -> bytes:
        """The bundle for `caBundle`. The signing authority comes first."""
        return certificate_pem(*self.trusted)

    @property
    def phase(self) -> Phase:
        if self.successor is not None:
            return Phase.INTRODUCING if self.since is None else Phase.SETTLING
        return Phase.REPLACING if self.retired else Phase.NONE

    @property
    def files(self) -> dict[str, bytes]:
        """The files for a store. A file that is not named must not exist."""
        files = {"ca.crt": self.ca_crt}
        if self.signing is not None:
            files["ca.key"] = key_pem(self.signing.key)
        if self.successor is not None:
            files["next.key"] = key_pem(self.successor.key)
        if self.since is not None:
            files["since"] = self.since.isoformat().encode()
        return files

    def with_successor(self, successor: Pair) -> Authorities:
        return replace(self, successor=successor, since=None)

    def promoted(self) -> Authorities:
        """Make the successor the signing authority and retire the present one."""
        old = (self.signing.certificate,) if self.signing is not None else ()
        return Authorities(signing=self.successor, retired=(*old, *self.retired))


@dataclass(frozen=True)
class Read:
    """The stored authorities, and what is wrong with them in words."""

    authorities: Authorities
    no_signing: str | None
    """Why none signs; None if one does."""
    changed: str | None
    """Why `ca.crt` must be written though all is there; None if it is as it should be."""


def read_authorities(stored: Stored, *, now: datetime, place: str) -> Read:
    """Read the authorities. Raises ForeignCertificateError, which names `place`.

    What is missing in `ca.crt` is taken from its copy beside the serving pair: everything if
    `ca.crt` is lost, else the authority that signed the pair, because it must stay trusted.
    """
    stored_ones = certificates(stored.ca_crt)
    for certificate in stored_ones:
        if not is_ours(certificate.subject):
            raise ForeignCertificateError(
                f"ca.crt in {place} is not ours"
                f" (subject {certificate.subject.rfc4514_string() or 'empty'}):"
                " choose another place, or move it away if it may be replaced"
            )
    known = (*stored_ones, *_missing(stored, stored_ones))
    trusted = [c for c in known if now < c.not_valid_after_utc + BACKDATE]
    alive = [c for c in trusted if now < c.not_valid_after_utc]
    signing = _with_key(alive, stored.ca_key)
    successor = _with_key([c for c in alive if not _is(c, signing)], stored.next_key)
    retired = tuple(c for c in trusted if not _is(c, signing) and not _is(c, successor))
    authorities = Authorities(
        signing=signing, successor=successor, retired=retired, since=_time(stored.since, now=now)
    )
    return Read(
        authorities=authorities,
        no_signing=_no_signing(stored, known) if signing is None else None,
        changed=_changed(stored_ones, trusted),
    )


def read_serving(stored: Stored, *, place: str) -> tuple[Pair | None, str | None]:
    """Return the serving pair, or why there is none. Raises ForeignCertificateError."""
    chain = certificates(stored.tls_crt)
    if chain and not is_ours(chain[0].issuer):
        raise ForeignCertificateError(
            f"tls.crt in {place} was issued by"
            f" {chain[0].issuer.rfc4514_string() or 'an unnamed issuer'}, not by this program:"
            " choose another place, or move it away if it may be replaced"
        )
    if stored.tls_crt is None and stored.tls_key is None:
        return None, "it did not exist"
    key = _key(stored.tls_key)
    if not chain or key is None:
        return None, "tls.crt or tls.key was missing or unreadable as PEM"
    pair = Pair(certificate=chain[0], key=key)
    return (pair, None) if pair.matches else (None, "tls.key did not belong to tls.crt")


def certificates(pem: bytes | None) -> tuple[x509.Certificate, ...]:
    """Return the certificates in `pem`; none if it can't be parsed."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem)) if pem else ()
    except ValueError:
        return ()


def _missing(
    stored: Stored, stored_ones: tuple[x509.Certificate, ...]
) -> tuple[x509.Certificate, ...]:
    copy = [c for c in certificates(stored.tls_ca_crt) if is_ours(c.subject)]
    if stored_ones:
        serving = certificates(stored.tls_crt)
        copy = [c for c in copy if c not in stored_ones and serving and issued_by(serving[0], c)]
    return tuple(copy)


def _changed(
    stored_ones: tuple[x509.Certificate, ...], trusted: list[x509.Certificate]
) -> str | None:
    ended = len([certificate for certificate in stored_ones if certificate not in trusted])
    if ended:
        return f"{ended} had ended"
    if trusted and not stored_ones:
        return "ca.crt was lost"
    if len(trusted) > len(stored_ones):
        return "the one that signed the certificate in service was missing"
    return None


def _no_signing(stored: Stored, known: tuple[x509.Certificate, ...]) -> str:
    if stored.ca_crt is None and stored.ca_key is None:
        return "it did not exist"
    key = _key(stored.ca_key)
    if not known or key is None:
        return "ca.crt or ca.key was missing or unreadable as PEM"
    of_key = _with_key(known, stored.ca_key)
    if of_key is None:
        return "ca.key did not belong to ca.crt"
    return f"the old one ended {of_key.certificate.not_valid_after_utc:%Y-%m-%d}"


def _with_key(known: Iterable[x509.Certificate], pem: bytes | None) -> Pair | None:
    key = _key(pem)
    if key is None:
        return None
    pairs = (Pair(certificate=certificate, key=key) for certificate in known)
    return next((pair for pair in pairs if pair.matches), None)


def _is(certificate: x509.Certificate, pair: Pair | None) -> bool:
    return pair is not None and certificate == pair.certificate


def _key(pem: bytes | None) -> ec.EllipticCurvePrivateKey | None:
    if not pem:
        return None
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):  # TypeError: it is encrypted
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _time(text: bytes | None, *, now: datetime) -> datetime | None:
    """Parse a time. A time in the future, from a wrong clock, is None."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text.decode())
    except ValueError:
        return None
    return time if time.tzinfo is not None and time <= now + BACKDATE else None
