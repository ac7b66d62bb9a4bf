"""Certificates kept in memory, and what a strict client makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, VerificationError
from cryptography.x509.verification import Store as TrustStore
from tradingbot_certs.authority import Names
from tradingbot_certs.plan import KeepAuthorities, KeepServing, Rules, Step
from tradingbot_certs.rotation import Rotation
from tradingbot_certs.state import Authorities, Stored, read_authorities, read_serving

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOST = "tradingbot-webhooks.tradingbot-system.svc"
NAMES = Names.parse([HOST, "127.0.0.1", "::1"])
RULES = Rules(names=NAMES)


class Memory:
    """A store, and a webhook configuration with one webhook; nobody else writes either."""

    place = "the test"

    def __init__(self, stored: Stored | None = None) -> None:
        self.stored = stored or Stored()
        self.bundle = b""
        self.writes = 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def load(self) -> Stored:
        return self.stored

    def save_authorities(self, files: Mapping[str, bytes]) -> None:
        self.writes += 1
        self.stored = stored_as(self.stored, authorities=files)

    def save_serving(self, files: Mapping[str, bytes]) -> None:
        self.writes += 1
        self.stored = stored_as(self.stored, serving=files)

    def read(self) -> tuple[bytes, ...]:
        return (self.bundle,)

    def missing(self) -> frozenset[str]:
        return frozenset()

    def inject(self, ca_crt: bytes) -> None:
        self.writes += 1
        self.bundle = ca_crt


def stored_as(
    stored: Stored,
    *,
    authorities: Mapping[str, bytes] | None = None,
    serving: Mapping[str, bytes] | None = None,
) -> Stored:
    """`stored` with these files in place of the former ones."""
    changed: dict[str, bytes | None] = {}
    if authorities is not None:
        changed |= {
            "ca_crt": authorities.get("ca.crt"),
            "ca_key": authorities.get("ca.key"),
            "next_key": authorities.get("next.key"),
            "since": authorities.get("since"),
        }
    if serving is not None:
        changed |= {
            "tls_crt": serving.get("tls.crt"),
            "tls_key": serving.get("tls.key"),
            "tls_ca_crt": serving.get("ca.crt"),
        }
    return Stored(**{**stored.__dict__, **changed})


@dataclass
class Harness:
    """One process that looks after a `Memory`, and a webhook server that follows when told."""

    memory: Memory = field(default_factory=Memory)
    now: datetime = NOW
    rules: Rules = RULES
    served: dict[str, x509.Certificate | None] | None = None
    injects: bool = True

    def check(self, at: datetime | None = None) -> list[Step]:
        self.now = at or self.now
        return Rotation(
            rules=self.rules,
            store=self.memory,
            trust=self.memory if self.injects else None,
            replicas=self if self.served is not None else None,
            clock=lambda: self.now,
        ).check()

    def ask(self) -> dict[str, x509.Certificate | None]:
        return self.served or {}

    def reload(self) -> None:
        """The webhook server loads the stored pair."""
        self.served = {"one": self.serving}

    @property
    def authorities(self) -> Authorities:
        return read_authorities(self.memory.stored, now=self.now, place="the test").authorities

    @property
    def serving(self) -> x509.Certificate:
        pair, fault = read_serving(self.memory.stored, place="the test")
        assert pair is not None, fault
        return pair.certificate

    @property
    def bundle(self) -> tuple[x509.Certificate, ...]:
        """What the API server trusts."""
        return tuple(x509.load_pem_x509_certificates(self.memory.bundle))


def words(steps: list[Step]) -> list[tuple[str, str]]:
    """What was stored and why; injections are left out."""
    return [(s.done, s.because) for s in steps if isinstance(s, KeepAuthorities | KeepServing)]


def accepted(
    certificate: x509.Certificate, at: datetime, trusted: tuple[x509.Certificate, ...]
) -> bool:
    """Whether a strict RFC 5280 verifier that trusts `trusted` accepts it from the webhooks."""
    verifier = (
        PolicyBuilder()
        .store(TrustStore(list(trusted)))
        .time(at)
        .build_server_verifier(x509.DNSName(HOST))
    )
    try:
        verifier.verify(certificate, [])
    except VerificationError:
        return False
    return True


def days(number: float) -> timedelta:
    return timedelta(days=number)


def started() -> Harness:
    """A harness that has made its first certificates, and a webhook server that has them."""
    harness = Harness()
    harness.check()
    harness.reload()
    return harness
