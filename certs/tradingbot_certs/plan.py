"""Decide what must be issued. Pure: what is stored, the names wanted and the time go in.

How an authority is replaced without a moment in which the API server distrusts the webhook:

1. Long before the old authority ends, a new one is made. `ca.crt` and the injected `caBundle` hold
   both from then on; the certificate in service stays the old authority's.
2. After `SETTLE`, when every API server has certainly seen the new bundle, the serving certificate
   is issued by the new authority.
3. The old authority leaves the bundle when it expires.

What can't be parsed is issued anew (a key that is gone can't be repaired, and a webhook without a
certificate blocks every change); what somebody else made is refused, never overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tradingbot_certs.authority import (
    BACKDATE,
    SERVING_LIFETIME,
    Names,
    Pair,
    certificate_pem,
    is_ours,
    issue_authority,
    issue_serving,
    issued_by,
    key_pem,
    names_of,
)
from tradingbot_certs.errors import ForeignCertificateError

ROTATE_AUTHORITY_BEFORE = 2 * SERVING_LIFETIME
"""How long before its end an authority is replaced: it must outlive what it last signed, and the
process may have been down for as long again."""

SETTLE = timedelta(hours=1)
"""How long both authorities are trusted before the new one signs. API servers watch their webhook
configurations and follow within seconds; kubelets refresh a mounted Secret within minutes."""


@dataclass(frozen=True)
class Stored:
    """What a store holds, as PEM; None where there is nothing."""

    ca_crt: bytes | None = None
    ca_key: bytes | None = None
    tls_crt: bytes | None = None
    tls_key: bytes | None = None


@dataclass(frozen=True)
class Bundle:
    """What ought to be stored. `trusted` starts with the authority that signs."""

    authority: Pair
    trusted: tuple[x509.Certificate, ...]
    serving: Pair

    @property
    def ca_crt(self) -> bytes:
        return certificate_pem(*self.trusted)

    @property
    def ca_key(self) -> bytes:
        return key_pem(self.authority.key)

    @property
    def tls_crt(self) -> bytes:
        return certificate_pem(self.serving.certificate)

    @property
    def tls_key(self) -> bytes:
        return key_pem(self.serving.key)


@dataclass(frozen=True)
class Plan:
    """The bundle to have, and in words what in it is new; no words means that nothing is."""

    bundle: Bundle
    new_authority: str | None = None
    new_trust: str | None = None
    new_serving: str | None = None


@dataclass(frozen=True)
class _Authorities:
    current: Pair
    trusted: tuple[x509.Certificate, ...]
    issued_because: str | None
    bundle_changed_because: str | None


def plan(stored: Stored, *, names: Names, now: datetime, place: str) -> Plan:
    """What `stored` must become. `place` names the store in messages.

    Raises ForeignCertificateError if a certificate in `stored` is not this program's.
    """
    authorities = _authorities(stored, now=now, place=place)
    serving, reason = _serving(stored, authorities, names=names, now=now, place=place)
    trusted = authorities.trusted
    return Plan(
        bundle=Bundle(authority=authorities.current, trusted=trusted, serving=serving),
        new_authority=authorities.issued_because,
        new_trust=authorities.bundle_changed_because,
        new_serving=reason,
    )


def _authorities(stored: Stored, *, now: datetime, place: str) -> _Authorities:
    known = _certificates(stored.ca_crt)
    for certificate in known:
        if not is_ours(certificate.subject):
            raise ForeignCertificateError(
                f"ca.crt in {place} is not ours"
                f" (subject {certificate.subject.rfc4514_string() or 'empty'}):"
                " choose another place, or move it away if it may be replaced"
            )
    trusted = tuple(c for c in known if now < c.not_valid_after_utc)
    key = _key(stored.ca_key)
    current = Pair(certificate=known[0], key=key) if known and key else None
    reason = _authority_fault(stored, current, now=now)
    if current is not None and reason is None:
        dropped = len(known) - len(trusted)
        return _Authorities(
            current=current,
            trusted=trusted,
            issued_because=None,
            bundle_changed_because=f"{dropped} expired authorities dropped" if dropped else None,
        )
    fresh = issue_authority(now)
    return _Authorities(
        current=fresh,
        trusted=(fresh.certificate, *trusted),
        issued_because=reason,
        bundle_changed_because=reason,
    )


def _authority_fault(stored: Stored, current: Pair | None, *, now: datetime) -> str | None:
    if stored.ca_crt is None and stored.ca_key is None:
        return "there was none"
    if current is None:
        return "ca.crt or ca.key was missing or unreadable as PEM"
    if not current.matches:
        return "ca.key did not belong to ca.crt"
    if current.certificate.not_valid_after_utc - now <= ROTATE_AUTHORITY_BEFORE:
        return f"the old one ends {current.certificate.not_valid_after_utc:%Y-%m-%d}"
    return None


def _serving(
    stored: Stored, authorities: _Authorities, *, names: Names, now: datetime, place: str
) -> tuple[Pair, str | None]:
    chain = _certificates(stored.tls_crt)
    if chain and not is_ours(chain[0].issuer):
        raise ForeignCertificateError(
            f"tls.crt in {place} was issued by"
            f" {chain[0].issuer.rfc4514_string() or 'somebody unnamed'}, not by this program:"
            " choose another place, or move it away if it may be replaced"
        )
    key = _key(stored.tls_key)
    current = Pair(certificate=chain[0], key=key) if chain and key else None
    reason = _serving_fault(stored, current, authorities, names=names, now=now)
    if current is not None and reason is None:
        return current, None
    return issue_serving(authority=authorities.current, names=names, now=now), reason


def _serving_fault(
    stored: Stored,
    current: Pair | None,
    authorities: _Authorities,
    *,
    names: Names,
    now: datetime,
) -> str | None:
    if stored.tls_crt is None and stored.tls_key is None:
        return "there was none"
    if current is None:
        return "tls.crt or tls.key was missing or unreadable as PEM"
    if not current.matches:
        return "tls.key did not belong to tls.crt"
    certificate = current.certificate
    issuer = next((ca for ca in authorities.trusted if issued_by(certificate, ca)), None)
    if issuer is None:
        return "no trusted authority had signed the old one"
    if not names_of(certificate).same_as(names):
        return f"the names became {names}"
    if now >= _renewal(certificate):
        return f"the old one ends {certificate.not_valid_after_utc:%Y-%m-%d}"
    signs = authorities.current.certificate
    if issuer != signs and now >= _settled(signs):
        return "the authority was rotated"
    return None


def _renewal(certificate: x509.Certificate) -> datetime:
    begin = certificate.not_valid_before_utc + BACKDATE
    return begin + (certificate.not_valid_after_utc - begin) * 2 / 3


def _settled(authority: x509.Certificate) -> datetime:
    return authority.not_valid_before_utc + BACKDATE + SETTLE


def _certificates(pem: bytes | None) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(pem)) if pem else ()
    except ValueError:
        return ()


def _key(pem: bytes | None) -> ec.EllipticCurvePrivateKey | None:
    if not pem:
        return None
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):  # TypeError: it is encrypted
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None
