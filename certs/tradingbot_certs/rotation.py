"""Read, decide, execute one step, and repeat until no step is left.

Any number of processes may run this at once, and each may crash at any point. A process that was
suspended between its reads and its write must not revert what another process did meanwhile. Two
rules ensure this: every write fails if the object has changed since it was read, and the reads have
an order.

| # | read           | what a suspended process then can't do                                    |
|---|----------------|---------------------------------------------------------------------------|
| 1 | webhook        | Inject an outdated bundle. It read the configurations before the          |
|   | configurations | authorities changed. Another process injected the new ones before its     |
|   |                | next step, so the configurations have changed too: conflict.              |
| 2 | serving Secret | Issue with an authority that no longer signs. It read the Secret before   |
|   |                | the new authority signed. The old authority is dropped only after the     |
|   |                | Secret has changed: conflict.                                             |
| 3 | authorities    | Store outdated authorities: they have changed: conflict.                  |
| 4 | clock          | Store a `since` that is earlier than the observation.                     |
| 5 | servers        | Drop an authority that a server needs: the servers are asked last, when   |
|   |                | it is known which certificate they must serve.                            |
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from cryptography import x509

from tradingbot_certs.authority import Pair
from tradingbot_certs.errors import ClusterError, ConflictError
from tradingbot_certs.plan import (
    Decision,
    Inject,
    KeepAuthorities,
    KeepServing,
    Rules,
    Seen,
    Step,
    decide,
)
from tradingbot_certs.state import Authorities, Stored

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]
_CONFLICTS = 5
_STEPS = 20
"""More than the longest sequence of steps."""


class Store(Protocol):
    """Where certificates are kept: a directory, or two Secrets.

    Each write replaces what `load` returned, or raises ConflictError.
    """

    @property
    def place(self) -> str: ...
    def locked(self) -> AbstractContextManager[None]: ...
    def load(self) -> Stored: ...
    def save_authorities(self, files: Mapping[str, bytes]) -> None: ...
    def save_serving(self, files: Mapping[str, bytes]) -> None: ...


class Trust(Protocol):
    """The webhook configurations: the API server trusts their caBundle."""

    def read(self) -> tuple[bytes, ...]:
        """Return the caBundle of each webhook of each configuration, as PEM."""

    def missing(self) -> frozenset[str]:
        """Return the names for which the last `read` found no configuration."""

    def inject(self, ca_crt: bytes) -> None:
        """Write the bundle where `read` returned another one, or raise ConflictError."""


class Replicas(Protocol):
    """The webhook servers."""

    def ask(self) -> Mapping[str, x509.Certificate | None]:
        """Return the certificates by address; None for a server that does not answer."""


@dataclass(frozen=True)
class View:
    """State of the certificates, for metrics and probes."""

    authorities: Authorities
    serving: Pair | None = field(repr=False)
    served: Mapping[str, x509.Certificate | None] | None

    def served_by(self) -> dict[str, int]:
        """Count the servers with the `current` certificate, `another` one, or no answer."""
        count = {"current": 0, "another": 0, "unknown": 0}
        for shown in (self.served or {}).values():
            if shown is None:
                count["unknown"] += 1
            elif self.serving is not None and shown == self.serving.certificate:
                count["current"] += 1
            else:
                count["another"] += 1
        return count


@dataclass(frozen=True)
class Rotation:
    """The parts of a check. `trust` is None without injection."""

    rules: Rules
    store: Store
    trust: Trust | None
    replicas: Replicas | None
    clock: Clock

    def check(self, seen: Callable[[View], None] = lambda _: None) -> list[Step]:
        """Execute all steps that are due and return them in order. `seen` gets each view.

        Raises a CertsError if a step failed; the steps before it are done.
        """
        done: list[Step] = []
        conflicts = 0
        with self.store.locked():
            while len(done) < _STEPS:
                decision, view = self._look()
                seen(view)
                if decision.step is None:
                    self._demand_configurations()
                    return done
                try:
                    self._do(decision.step)
                except ConflictError:
                    conflicts += 1  # another process was faster: read again
                    if conflicts >= _CONFLICTS:
                        raise
                else:
                    done.append(decision.step)
        raise ClusterError(
            f"{self.store.place} is changed after each write: does something else write it?"
        )

    def _look(self) -> tuple[Decision, View]:
        bundles = self.trust.read() if self.trust is not None else ()
        seen = Seen(stored=self.store.load(), place=self.store.place, bundles=bundles)
        decision = decide(seen, self.rules, now=self.clock())
        if decision.step is None and self.replicas is not None:
            seen = replace(seen, served=self.replicas.ask())
            decision = decide(seen, self.rules, now=self.clock())
        return decision, View(decision.authorities, decision.serving, seen.served)

    def _do(self, step: Step) -> None:
        match step:
            case KeepAuthorities(authorities=authorities):
                self.store.save_authorities(authorities.files)
                expiry = authorities.trusted[0].not_valid_after_utc
                self._say(step, expires=expiry.isoformat(), phase=str(authorities.phase))
            case KeepServing(pair=pair, ca_crt=ca_crt):
                self.store.save_serving({**pair.files, "ca.crt": ca_crt})
                expiry = pair.certificate.not_valid_after_utc
                self._say(step, names=str(self.rules.names), expires=expiry.isoformat())
            case Inject(ca_crt=ca_crt):
                if self.trust is not None:
                    self.trust.inject(ca_crt)

    def _say(self, step: KeepAuthorities | KeepServing, **extra: str) -> None:
        where = {"place": self.store.place, "because": step.because}
        logger.info("%s", step.done, extra={**where, **extra})

    def _demand_configurations(self) -> None:
        missing = self.trust.missing() if self.trust is not None else frozenset()
        if missing:
            raise ClusterError(
                "no webhook configuration is called"
                f" {' or '.join(sorted(missing))}: apply config/webhook, or set"
                " --webhook-configurations"
            )
