"""Look, decide, do one thing, and look again, until nothing is left to be done.

Any number of processes may do this at once, and each may end at any point. What keeps one that was
held up from undoing what another has done meanwhile is the order in which it looks, and that every
write fails if what it replaces has changed since:

- The webhook configurations are read first. So whoever injects an outdated bundle has read the
  configuration before the authorities became what they are now, and another one had to inject these
  before it could go on to the next step: the configuration has changed.
- The serving Secret is read before the authorities. So whoever issues by an authority that signs no
  longer has read the Secret before the new one signed, and the old one is not dropped before the
  Secret has changed.
- The clock is read after all of them: what was seen was so at that time or before. And the webhook
  servers are asked last, when it is known what they ought to show.
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
"""More than the longest way from nothing to everything takes."""


class Store(Protocol):
    """Where certificates are kept: a folder, or two Secrets.

    Each write replaces what `load` saw, or raises ConflictError.
    """

    @property
    def place(self) -> str: ...
    def locked(self) -> AbstractContextManager[None]: ...
    def load(self) -> Stored: ...
    def save_authorities(self, files: Mapping[str, bytes]) -> None: ...
    def save_serving(self, files: Mapping[str, bytes]) -> None: ...


class Trust(Protocol):
    """The webhook configurations, by which the API server trusts."""

    def read(self) -> tuple[bytes, ...]:
        """The caBundle of each webhook of each configuration, as PEM."""

    def missing(self) -> frozenset[str]:
        """The names of which the last `read` has found no configuration."""

    def inject(self, ca_crt: bytes) -> None:
        """Write it into those that `read` saw without it, or raise ConflictError."""


class Replicas(Protocol):
    """The webhook servers."""

    def ask(self) -> Mapping[str, x509.Certificate | None]:
        """The certificate that each one shows, by address; None of one that does not answer."""


@dataclass(frozen=True)
class View:
    """How things stand, for whoever asks."""

    authorities: Authorities
    serving: Pair | None = field(repr=False)
    served: Mapping[str, x509.Certificate | None] | None

    def served_by(self) -> dict[str, int]:
        """How many servers show the `current` certificate, `another` one, or did not answer."""
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
    """The parts that a check works with. `trust` is None if nobody is to be told whom to trust."""

    rules: Rules
    store: Store
    trust: Trust | None
    replicas: Replicas | None
    clock: Clock

    def check(self, seen: Callable[[View], None] = lambda _: None) -> list[Step]:
        """Do all that can be done now; what was done, in order. `seen` is told how things stand.

        Raises a CertsError if something could not be done; then the steps before it are.
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
                    conflicts += 1  # another process was faster: see what it left to do
                    if conflicts >= _CONFLICTS:
                        raise
                else:
                    done.append(decision.step)
        raise ClusterError(
            f"{self.store.place} does not stay as it is written: does something else write it?"
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
