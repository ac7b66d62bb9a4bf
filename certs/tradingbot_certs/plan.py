"""Decide the next step. Pure: observations, rules and time are arguments.

An authority is replaced without a moment in which an API server distrusts a webhook server:

| # | step                                        | not before                                     |
|---|---------------------------------------------|------------------------------------------------|
| 1 | issue and store a successor                 | two thirds of the authority's life             |
| 2 | inject both into every `caBundle`           | 1                                              |
| 3 | store `since`: every `caBundle` has both    | 2 is observed                                  |
| 4 | make the successor the signing authority    | `settle` after 3: every API server follows     |
| 5 | issue a serving certificate                 | 4                                              |
| 6 | store `since`: every server serves it       | 5 is observed, by a handshake with each server |
| 7 | drop the former authority from the store    | `settle` after 6, and observed again: no       |
|   |                                             | server can start with a Secret from before     |
| 8 | inject the bundle without it                | 7                                              |

Each step is one write, and the next step depends on observations alone. Any process can continue
after another one crashed between two steps. Conditional writes keep concurrent processes apart; see
`rotation`.

What can't be parsed is issued again: a lost key can't be repaired, and a webhook without a
certificate blocks every change. What another program issued is refused and never overwritten.
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
Secret within two minutes. The rest is for clocks that differ.
"""


@dataclass(frozen=True)
class Rules:
    """Requirements for a certificate, and the time that a step is given."""

    names: Names
    ca_lifetime: timedelta = CA_LIFETIME
    serving_lifetime: timedelta = SERVING_LIFETIME
    settle: timedelta = SETTLE


@dataclass(frozen=True)
class Seen:
    """The observations that a decision is based on."""

    stored: Stored
    place: str
    """Name of the store in messages."""
    bundles: tuple[bytes, ...] = ()
    """The caBundle of each webhook, as PEM. Empty without injection."""
    served: Mapping[str, x509.Certificate | None] | None = None
    """The certificate that each webhook server serves, by address; None for a server that did not
    answer. None for the whole mapping before the servers were asked.
    """


@dataclass(frozen=True)
class KeepAuthorities:
    """Store these authorities."""

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
    """Set the caBundle of every webhook."""

    ca_crt: bytes


Step = KeepAuthorities | KeepServing | Inject


@dataclass(frozen=True)
class Decision:
    """The next step, or None, and the state that it is based on."""

    step: Step | None
    authorities: Authorities
    serving: Pair | None = field(repr=False, default=None)


def decide(seen: Seen, rules: Rules, *, now: datetime) -> Decision:
    """Return the next step.

    The first step in this order that is due. Raises ForeignCertificateError if another program
    issued a stored certificate.
    """
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
    """Ensure a signing authority and a successor in time; remove expired authorities."""
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
    """Add `fresh` as successor, or as signing authority if no authority can be in service."""
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
            because="no other authority was left",
        )
    if authorities.since is None:
        return None
    if not injected:
        return KeepAuthorities(
            authorities=replace(authorities, since=None),
            done="authority trusted again",
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
    """Return the renewal of the serving certificate, if due.

    This comes before the injection, so that an error of the injection does not stop a renewal. It
    is safe: the signing authority has been in every bundle for long, or no authority was trusted
    before it.
    """
    reason = fault
    if serving is not None:
        reason = _serving_fault(serving.certificate, authorities, rules, now=now)
    ca_crt = authorities.ca_crt
    if reason is not None and authorities.signing is not None:  # else there is one within `settle`
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
    """Return why `certificate` must be replaced; None if it is valid."""
    issuer = _issuer(certificate, authorities.trusted)
    if issuer is None:
        return "no trusted authority had signed the old one"
    if authorities.signing is not None and issuer != authorities.signing.certificate:
        return "the authority was replaced"
    if not names_of(certificate).same_as(rules.names):
        return f"the names are now {rules.names}"
    due = renewal(certificate)
    return f"the old one was due {due:%Y-%m-%d}" if now >= due else None


def _trust_to_note(authorities: Authorities, *, now: datetime) -> Step | None:
    """Note that every caBundle has the successor. `decide` gets here only if that is true."""
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
    """Whether each server serves a certificate that `authority` signed."""
    return all(shown is not None and issued_by(shown, authority) for shown in served.values())


def _issuer(
    certificate: x509.Certificate, among: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    return next((authority for authority in among if issued_by(certificate, authority)), None)
