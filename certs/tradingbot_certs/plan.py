"""Decide what is to be done next. Pure: what was seen, the rules and the time go in.

How an authority is replaced without a moment in which the API server distrusts a webhook server:

1. After two thirds of the authority's life a successor is made and stored.
2. `caBundle` gets both. Everything goes on being signed by the old one.
3. When every webhook configuration was seen to have both, that moment is stored. `settle` later,
   every API server has followed, and the successor becomes the one that signs.
4. The serving certificate is issued anew, by it.
5. When every webhook server was asked and showed such a certificate, that moment is stored.
   `settle` later no server can come up any more with a Secret from before; all are asked once more,
   and if all still have it, the old authority leaves the store and then `caBundle`.

Each step is one write, and what comes next depends on nothing but what was seen: whoever dies
between two steps, whoever takes over does the next one. Two that work at once are kept apart by the
conditions of the writes; see `rotation`.

What can't be parsed is issued anew (a key that is gone can't be repaired, and a webhook without a
certificate blocks every change); what somebody else made is refused, never overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography import x509

from tradingbot_certs.authority import (
    CA_LIFETIME,
    SERVING_LIFETIME,
    Names,
    Pair,
    issue_authority,
    issue_serving,
    issued_by,
    names_of,
    renewal,
)
from tradingbot_certs.state import Authorities, Read, Stored, read_authorities, read_serving

SETTLE = timedelta(minutes=5)
"""API servers follow a changed webhook configuration within a second, and a kubelet a changed
Secret within two minutes. What is left is for clocks that differ."""


@dataclass(frozen=True)
class Rules:
    """What a certificate must be like, and how long a step is given."""

    names: Names
    ca_lifetime: timedelta = CA_LIFETIME
    serving_lifetime: timedelta = SERVING_LIFETIME
    settle: timedelta = SETTLE


@dataclass(frozen=True)
class Seen:
    """All that a decision is made from."""

    stored: Stored
    place: str
    """What the store is called in messages."""
    bundles: tuple[bytes, ...] = ()
    """The caBundle of each webhook, as PEM. Empty if nobody injects."""
    served: Mapping[str, x509.Certificate | None] | None = None
    """The certificate that each webhook server shows, by address, None if it did not answer. None
    altogether as long as they have not been asked."""


@dataclass(frozen=True)
class KeepAuthorities:
    """Store these."""

    authorities: Authorities
    done: str
    because: str


@dataclass(frozen=True)
class KeepServing:
    """Store this pair, with this bundle beside it."""

    pair: Pair
    ca_crt: bytes
    done: str
    because: str


@dataclass(frozen=True)
class Inject:
    """Make this the caBundle of every webhook."""

    ca_crt: bytes


Step = KeepAuthorities | KeepServing | Inject


@dataclass(frozen=True)
class Decision:
    """What is to be done next, None if nothing is; and what it was decided from."""

    step: Step | None
    authorities: Authorities
    serving: Pair | None = field(repr=False, default=None)


def decide(seen: Seen, rules: Rules, *, now: datetime) -> Decision:
    """The next step. Raises ForeignCertificateError if a stored certificate is not ours."""
    read = read_authorities(seen.stored, now=now, place=seen.place)
    serving, fault = read_serving(seen.stored, place=seen.place)
    authorities = read.authorities
    injected = all(bundle == authorities.ca_crt for bundle in seen.bundles)
    step = (
        _authorities_to_make(read, rules, now=now)
        or _successor_to_promote(authorities, rules, injected=injected, now=now)
        or _serving_to_keep(seen.stored, authorities, serving, fault, rules, now=now)
        or (None if injected else Inject(authorities.ca_crt))
        or _trust_to_note(authorities, now=now)
        or _retired_to_drop(authorities, seen.served, rules, now=now)
    )
    return Decision(step=step, authorities=authorities, serving=serving)


def _authorities_to_make(read: Read, rules: Rules, *, now: datetime) -> Step | None:
    """One that signs, a successor in time, and none that has ended."""
    authorities, reason = read.authorities, read.no_signing
    if authorities.successor is None:
        if reason is None and authorities.signing is not None:
            due = renewal(authorities.signing.certificate)
            reason = f"the old one was due {due:%Y-%m-%d}" if now >= due else None
        if reason is not None:
            fresh = issue_authority(now, rules.ca_lifetime)
            return KeepAuthorities(
                authorities=_introduced(authorities, fresh, now=now),
                done="authority issued",
                because=reason,
            )
    if read.changed is not None:
        return KeepAuthorities(
            authorities=authorities, done="authorities tidied", because=read.changed
        )
    return None


def _introduced(authorities: Authorities, fresh: Pair, *, now: datetime) -> Authorities:
    """`fresh` as the successor; where nothing is trusted that could be in service, it signs."""
    introduced = authorities.with_successor(fresh)
    return introduced if _trusts_something(authorities, now=now) else introduced.promoted()


def _trusts_something(authorities: Authorities, *, now: datetime) -> bool:
    return authorities.signing is not None or any(
        now < certificate.not_valid_after_utc for certificate in authorities.retired
    )


def _successor_to_promote(
    authorities: Authorities, rules: Rules, *, injected: bool, now: datetime
) -> Step | None:
    if authorities.successor is None:
        return None
    if not _trusts_something(authorities, now=now):
        return KeepAuthorities(
            authorities=authorities.promoted(),
            done="authority replaced",
            because="no other one was left",
        )
    if authorities.since is None:
        return None
    if not injected:
        return KeepAuthorities(
            authorities=replace(authorities, since=None),
            done="authority introduced again",
            because="a caBundle was changed",
        )
    if now < authorities.since + rules.settle:
        return None
    return KeepAuthorities(
        authorities=authorities.promoted(),
        done="authority replaced",
        because=f"its successor has been trusted since {authorities.since:%Y-%m-%dT%H:%M:%SZ}",
    )


def _serving_to_keep(
    stored: Stored,
    authorities: Authorities,
    serving: Pair | None,
    fault: str | None,
    rules: Rules,
    *,
    now: datetime,
) -> Step | None:
    """Before the bundle is injected, so that what stops that does not stop a renewal as well.

    What signs has been in the bundle for long, or nothing was trusted before it.
    """
    reason = fault
    if serving is not None:
        reason = _serving_fault(serving.certificate, authorities, rules, now=now)
    ca_crt = authorities.ca_crt
    if reason is not None and authorities.signing is not None:  # within `settle` there is one
        fresh = issue_serving(
            authority=authorities.signing,
            names=rules.names,
            now=now,
            lifetime=rules.serving_lifetime,
        )
        return KeepServing(pair=fresh, ca_crt=ca_crt, done="certificate issued", because=reason)
    if serving is not None and stored.tls_ca_crt != ca_crt:
        return KeepServing(
            pair=serving, ca_crt=ca_crt, done="bundle stored", because="the authorities changed"
        )
    return None


def _serving_fault(
    certificate: x509.Certificate, authorities: Authorities, rules: Rules, *, now: datetime
) -> str | None:
    """Why `certificate` must be replaced."""
    issuer = _issuer(certificate, authorities.trusted)
    if issuer is None:
        return "no trusted authority had signed the old one"
    if authorities.signing is not None and issuer != authorities.signing.certificate:
        return "the authority was replaced"
    if not names_of(certificate).same_as(rules.names):
        return f"the names became {rules.names}"
    due = renewal(certificate)
    return f"the old one was due {due:%Y-%m-%d}" if now >= due else None


def _trust_to_note(authorities: Authorities, *, now: datetime) -> Step | None:
    """Reached only when every caBundle has the successor."""
    if authorities.successor is None or authorities.since is not None:
        return None
    return KeepAuthorities(
        authorities=replace(authorities, since=now),
        done="successor trusted",
        because="every caBundle has it",
    )


def _retired_to_drop(
    authorities: Authorities,
    served: Mapping[str, x509.Certificate | None] | None,
    rules: Rules,
    *,
    now: datetime,
) -> Step | None:
    if not authorities.retired or authorities.signing is None or authorities.successor is not None:
        return None
    if not served or not serve_all(served, authorities.signing.certificate):
        return None
    if authorities.since is None:
        return KeepAuthorities(
            authorities=replace(authorities, since=now),
            done="certificate in service",
            because="every webhook server shows it",
        )
    if now < authorities.since + rules.settle:
        return None
    return KeepAuthorities(
        authorities=Authorities(signing=authorities.signing),
        done="old authority dropped",
        because="every webhook server has a certificate of its successor",
    )


def serve_all(served: Mapping[str, x509.Certificate | None], authority: x509.Certificate) -> bool:
    """Whether each of these servers showed a certificate that `authority` has signed."""
    return all(shown is not None and issued_by(shown, authority) for shown in served.values())


def _issuer(
    certificate: x509.Certificate, among: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    return next((authority for authority in among if issued_by(certificate, authority)), None)
