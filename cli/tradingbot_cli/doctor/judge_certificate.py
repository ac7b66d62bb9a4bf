"""Judge whether the API server accepts the webhooks' certificate, and until when. Pure.

The same three checks as the API server's: the certificate is signed by an authority in the
`caBundle`, valid for the name that is called, and valid now.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from tradingbot_cli.doctor.facts import Served, Trust, Unserved
from tradingbot_cli.doctor.findings import Finding, failed, listed, ok, unknown, warning
from tradingbot_cli.doctor.remedies import injection, pods, reissue, renewal

SERVED, AUTHORITY = "certificate/served", "certificate/authority"
NAMES, LIFE = "certificate/names", "certificate/life"

SHORT = timedelta(days=14)
"""Remaining life at which to warn, as in the alert. For a certificate of less than eight weeks, a
quarter of its life.
"""


@dataclass(frozen=True, slots=True)
class _Certificate:
    """A certificate, and which replicas serve it."""

    where: str
    leaf: x509.Certificate
    others: tuple[x509.Certificate, ...]
    trusted: frozenset[bytes]


def judge_certificates(
    served: Iterable[Served | Unserved],
    trusts: tuple[Trust, ...],
    *,
    now: datetime,
    namespace: str,
) -> Iterator[Finding]:
    """Yield findings on each distinct certificate, and one on each replica without an answer."""
    every = tuple(served)
    for replica in every:
        if isinstance(replica, Unserved):
            yield _judge_unserved(replica, namespace)
    certificates = _distinct(replica for replica in every if isinstance(replica, Served))
    if not certificates and not every:
        yield unknown(SERVED, "there is no webhook server to connect to")
    for certificate in certificates:
        for trust in trusts:
            yield _judge_authority(certificate, trust, now, namespace)
        for host in dict.fromkeys(trust.host for trust in trusts):
            yield _judge_names(certificate, host, namespace)
        yield _judge_life(certificate, now, namespace)


def _judge_unserved(one: Unserved, namespace: str) -> Finding:
    message = f"{one.where}: {one.why}"
    if one.broken:
        return failed(SERVED, "Unreachable", message, *pods(namespace, "webhooks"))
    return unknown(SERVED, message)


def _distinct(served: Iterable[Served]) -> list[_Certificate]:
    groups: dict[bytes, list[Served]] = {}
    for replica in served:
        groups.setdefault(replica.chain[0], []).append(replica)
    return [
        _Certificate(
            where=listed(replica.where for replica in group),
            leaf=x509.load_der_x509_certificate(leaf),
            others=tuple(x509.load_der_x509_certificate(der) for der in group[0].chain[1:]),
            trusted=frozenset.intersection(*(replica.trusted for replica in group)),
        )
        for leaf, group in groups.items()
    ]


def _judge_authority(found: _Certificate, trust: Trust, now: datetime, namespace: str) -> Finding:
    whose = f"the caBundle of {listed(trust.webhooks, most=2)}"
    if not trust.bundle:
        message = f"{whose} is empty: the API server trusts no authority"
        return failed(AUTHORITY, "NoBundle", message, *injection(namespace))
    try:
        bundle = x509.load_pem_x509_certificates(trust.bundle)
    except ValueError:
        message = f"{whose} has content that is not a PEM certificate"
        return failed(AUTHORITY, "NoBundle", message, *injection(namespace))
    authority = _authority(found.leaf, found.others, bundle)
    if authority is None:
        if trust.bundle in found.trusted:
            return ok(AUTHORITY, f"{whose} has its authority, through an intermediate one")
        message = (
            f"unknown authority: {found.where} serves a certificate that was issued by"
            f" {_name(found.leaf.issuer)}, and {whose} holds {listed(_told(bundle))}"
        )
        return failed(AUTHORITY, "UnknownAuthority", message, *injection(namespace))
    end = authority.not_valid_after_utc
    if end <= now:
        message = f"its authority expired {_ago(now - end)}, {_date(end)}"
        return failed(AUTHORITY, "AuthorityExpired", message, *renewal(namespace))
    if end - now < _short(authority):
        message = f"its authority expires in {_span(end - now)}, {_date(end)}"
        return warning(AUTHORITY, "AuthorityExpiring", message, *renewal(namespace))
    return ok(AUTHORITY, f"{whose} has its authority, valid until {_date(end)}")


def _judge_names(found: _Certificate, host: str, namespace: str) -> Finding:
    names = _names(found.leaf)
    if not any(_covers(name, host) for name in names):
        message = (
            f"wrong host: the API server calls {host}, and {found.where} serves a certificate"
            f" for {listed(names) or 'no name at all'}"
        )
        return failed(NAMES, "WrongHost", message, *reissue(namespace, host))
    if not _is_for_servers(found.leaf):
        message = "it is not issued for servers (extended key usage)"
        return failed(NAMES, "NotForServers", message, *reissue(namespace, host))
    return ok(NAMES, f"valid for {host}")


def _judge_life(found: _Certificate, now: datetime, namespace: str) -> Finding:
    begin, end = found.leaf.not_valid_before_utc, found.leaf.not_valid_after_utc
    if end <= now:
        message = f"expired {_ago(now - end)}, {_date(end)} ({found.where})"
        return failed(LIFE, "Expired", message, *renewal(namespace))
    if begin > now:
        message = f"not valid before {_date(begin)} ({found.where}): a clock is wrong"
        return failed(LIFE, "NotYetValid", message, *renewal(namespace))
    left = f"{_span(end - now)} left, until {_date(end)} ({found.where})"
    if end - now < _short(found.leaf):
        return warning(LIFE, "Expiring", f"{left}: it was not renewed in time", *renewal(namespace))
    return ok(LIFE, left)


def _authority(
    leaf: x509.Certificate,
    others: tuple[x509.Certificate, ...],
    bundle: list[x509.Certificate],
) -> x509.Certificate | None:
    """Return the certificate of the bundle that the chain ends at, or None.

    Dates are not checked. Of two with the same key and name, as after a renewal, the one that is
    valid for longer.
    """
    if leaf in bundle:
        return leaf
    chain = [leaf]
    while True:
        issuers = [authority for authority in bundle if _issued(chain[-1], by=authority)]
        if issuers:
            return max(issuers, key=lambda one: one.not_valid_after_utc)
        above = next((o for o in others if o not in chain and _issued(chain[-1], by=o)), None)
        if above is None:
            return None
        chain.append(above)


def _issued(certificate: x509.Certificate, *, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = names.get_values_for_type(x509.IPAddress)
    return [*names.get_values_for_type(x509.DNSName), *map(str, addresses)]


def _covers(name: str, host: str) -> bool:
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    if name == host or _same_address(name, host):
        return True
    first, _, rest = host.partition(".")
    return name.startswith("*.") and bool(first) and name[2:] == rest


def _same_address(name: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(host)
    except ValueError:
        return False


def _is_for_servers(leaf: x509.Certificate) -> bool:
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    wanted = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return not wanted.isdisjoint(uses)


def _short(certificate: x509.Certificate) -> timedelta:
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return min(SHORT, life / 4)


def _told(bundle: list[x509.Certificate]) -> list[str]:
    """Return the names of authorities, with their begin: two may have the same name."""
    return [
        f"{_name(authority.subject)} (from {_date(authority.not_valid_before_utc)})"
        for authority in bundle
    ]


def _name(name: x509.Name) -> str:
    return name.rfc4514_string() or "an unnamed issuer"


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _ago(span: timedelta) -> str:
    return f"{_span(span)} ago"


def _span(span: timedelta) -> str:
    """Format in the largest whole unit."""
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "less than a second"
