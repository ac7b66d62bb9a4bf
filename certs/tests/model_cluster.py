"""A cluster as the rotation meets it, where everybody may be late, and processes that stand still.

API servers follow the webhook configurations late, kubelets follow the Secret late, webhook servers
load what the kubelet wrote at any later time, and clocks differ. Of all that anybody may have
at a moment, each must go with each. A process does one thing at a time to the cluster, when it is
told to; it may be left standing before any of them, or killed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Generic, TypeVar

from certs_in_memory import NAMES, NOW, days, stored_as
from cryptography import x509
from tradingbot_certs.authority import issued_by
from tradingbot_certs.errors import CertsError, ConflictError
from tradingbot_certs.plan import Rules
from tradingbot_certs.rotation import Rotation
from tradingbot_certs.state import Authorities, Stored, certificates, read_authorities

SETTLE = timedelta(minutes=5)
CA_LIFETIME = days(90)
API_SERVER_LATE = timedelta(minutes=1)
KUBELET_LATE = timedelta(minutes=2)
CLOCK_OFF = timedelta(minutes=1)
CONFIGURATIONS = ("mutating", "validating")
RULES = Rules(names=NAMES, ca_lifetime=CA_LIFETIME, serving_lifetime=days(30), settle=SETTLE)


BEGINNING = NOW - days(1)
_T = TypeVar("_T")


@dataclass
class History(Generic[_T]):
    """All that something has been, with the times since when."""

    entries: list[tuple[datetime, _T]]

    @property
    def latest(self) -> int:
        return len(self.entries) - 1

    @property
    def now(self) -> _T:
        return self.entries[-1][1]

    def add(self, time: datetime, value: _T) -> None:
        self.entries.append((time, value))

    def as_of(self, time: datetime) -> int:
        """The entry that was the latest one at that time."""
        return max(index for index, (since, _) in enumerate(self.entries) if since <= time)


@dataclass
class Replica:
    """A webhook server, by the entry of the Secret's history that it has."""

    has: int
    listed: bool = False


@dataclass
class Cluster:
    """The Secrets, the configurations, and who follows them."""

    now: datetime = NOW
    authorities: tuple[int, dict[str, bytes]] | None = None
    secret: History[dict[str, bytes] | None] = field(
        default_factory=lambda: History([(BEGINNING, None)])
    )
    bundles: dict[str, History[bytes]] = field(
        default_factory=lambda: {name: History([(BEGINNING, b"")]) for name in CONFIGURATIONS}
    )
    replicas: dict[str, Replica] = field(default_factory=dict)
    version: int = 0
    in_vain: bool = False
    """All had ended before anybody renewed it: nothing is promised until it works again."""

    # ---- what time does

    def pass_time(self, by: timedelta) -> None:
        """Those who are late are not later than they can be."""
        self.now += by
        for replica in self.replicas.values():
            # One that is listed may have lost its kubelet, or no longer check its files.
            if not replica.listed:
                replica.has = max(replica.has, self._mountable(KUBELET_LATE))

    def follow(self) -> None:
        """All are up to date, and listed."""
        self.pass_time(API_SERVER_LATE)
        for replica in self.replicas.values():
            replica.has, replica.listed = self._mountable(timedelta(0)), True

    def start_replica(self, name: str, *, late: timedelta) -> None:
        """With the Secret as the kubelet knew it that long ago. Nobody calls it yet."""
        if (has := self._mountable(late)) > 0:
            self.replicas[name] = Replica(has)

    def reload(self, name: str) -> None:
        self.replicas[name].has = max(self.replicas[name].has, self._mountable(timedelta(0)))

    def _mountable(self, late: timedelta) -> int:
        """The last Secret that there was; 0 if there was none."""
        entries = range(self.secret.as_of(self.now - late) + 1)
        return max(index for index in entries if index == 0 or self.secret.entries[index][1])

    # ---- what must always be so

    def demand_trust(self) -> None:
        """Whatever any API server trusts, it trusts what any webhook server shows."""
        last = self._certificate(self._mountable(timedelta(0)))
        if last is not None and last.not_valid_after_utc <= self.now + 2 * CLOCK_OFF:
            self.in_vain = True
        faults = list(self._faults())
        if self.in_vain:
            works = last is not None and not any(self._distrust(last)) and not faults
            self.in_vain = last is None or not works or last.not_valid_after_utc <= self.now
        else:
            assert not faults, faults

    def _faults(self) -> Iterator[str]:
        for name, replica in self.replicas.items():
            if replica.listed:
                for entry in range(replica.has, self.secret.latest + 1):
                    shown = self._certificate(entry)
                    if shown is not None and self.now < shown.not_valid_after_utc:
                        yield from (f"{which} distrusts {name}" for which in self._distrust(shown))

    def _distrust(self, shown: x509.Certificate) -> Iterator[str]:
        """The configurations of which an API server may have a state that doesn't trust this."""
        for name, history in self.bundles.items():
            possible = history.entries[history.as_of(self.now - API_SERVER_LATE) :]
            if not all(trusted(shown, bundle) for _, bundle in possible):
                yield name

    # ---- the state

    def shown_by(self, name: str) -> x509.Certificate | None:
        return self._certificate(self.replicas[name].has)

    def stored_certificate(self) -> x509.Certificate | None:
        return self._certificate(self.secret.latest)

    def _certificate(self, entry: int) -> x509.Certificate | None:
        files = self.secret.entries[entry][1]
        return certificate_in(files["tls.crt"]) if files else None

    def read(self) -> Authorities:
        files = self.authorities[1] if self.authorities else {}
        stored = stored_as(Stored(), authorities=files)
        return read_authorities(stored, now=self.now, place="the model").authorities

    def next_version(self) -> int:
        self.version += 1
        return self.version


@lru_cache(maxsize=1000)
def trusted(shown: x509.Certificate, bundle: bytes) -> bool:
    """Asked after every deed, mostly of the same."""
    return any(issued_by(shown, authority) for authority in certificates(bundle))


@lru_cache(maxsize=1000)
def certificate_in(pem: bytes) -> x509.Certificate:
    return certificates(pem)[0]


def rotation_in(
    cluster: Cluster, before_each: Callable[[], None], *, clock_off: timedelta = timedelta(0)
) -> Rotation:
    """The rotation of one process, which calls `before_each` before each of its deeds."""
    side = _Side(cluster, before_each)
    return Rotation(
        rules=RULES,
        store=side,
        trust=side,
        replicas=side,
        clock=lambda: cluster.now + clock_off,
    )


class _Killed(BaseException):
    """As good as a SIGKILL: nothing in the code catches it."""


class Process:
    """One check of one process, which goes on when it is told to, and up to its next deed."""

    def __init__(self, cluster: Cluster, *, clock_off: timedelta = timedelta(0)) -> None:
        self.ended = False
        self.fault: BaseException | None = None
        self._killed = False
        # Locks that one thread holds and the other one releases: faster than semaphores.
        self._go, self._stands = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._stands.acquire()
        rotation = rotation_in(cluster, self.stand, clock_off=clock_off)
        self._thread = threading.Thread(target=self._run, args=(rotation.check,), daemon=True)
        self._thread.start()
        self._stands.acquire()

    def step(self) -> None:
        """Do the next thing."""
        self._go.release()
        self._stands.acquire()
        if self.fault is not None:
            raise self.fault

    def kill(self) -> None:
        self._killed = True
        self.step()

    def stand(self) -> None:
        """In its thread: wait to be told."""
        self._stands.release()
        self._go.acquire()
        if self._killed:
            raise _Killed

    def _run(self, check: Callable[[], object]) -> None:
        try:
            self.stand()
            check()
        except (_Killed, CertsError):
            pass  # a check that fails is repeated later
        except BaseException as error:  # shown in the test's thread
            self.fault = error
        finally:
            self.ended = True
            self._stands.release()


class _Side:
    """The cluster as one process sees it: store, configurations and webhook servers."""

    place = "the model"

    def __init__(self, cluster: Cluster, stand: Callable[[], None]) -> None:
        self._cluster = cluster
        self._stand = stand
        self._secret_seen = 0
        self._authorities_seen = 0
        self._bundles_seen: dict[str, tuple[int, bytes]] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def load(self) -> Stored:
        self._stand()
        self._secret_seen = self._cluster.secret.latest
        serving = self._cluster.secret.now or {}
        self._stand()
        version, files = self._cluster.authorities or (0, {})
        self._authorities_seen = version
        return stored_as(Stored(), serving=serving, authorities=files)

    def save_authorities(self, files: Mapping[str, bytes]) -> None:
        self._stand()
        version = self._cluster.authorities[0] if self._cluster.authorities else 0
        if version != self._authorities_seen:
            raise ConflictError("the authorities have changed")
        self._cluster.authorities = self._cluster.next_version(), dict(files)

    def save_serving(self, files: Mapping[str, bytes]) -> None:
        self._stand()
        if self._cluster.secret.latest != self._secret_seen:
            raise ConflictError("the Secret has changed")
        self._cluster.secret.add(self._cluster.now, dict(files))

    def read(self) -> tuple[bytes, ...]:
        self._bundles_seen = {}
        for name in CONFIGURATIONS:
            self._stand()
            history = self._cluster.bundles[name]
            self._bundles_seen[name] = history.latest, history.now
        return tuple(bundle for _, bundle in self._bundles_seen.values())

    def missing(self) -> frozenset[str]:
        return frozenset()

    def inject(self, ca_crt: bytes) -> None:
        for name, (version, bundle) in self._bundles_seen.items():
            if bundle != ca_crt:
                self._stand()
                if self._cluster.bundles[name].latest != version:
                    raise ConflictError("the configuration has changed")
                self._cluster.bundles[name].add(self._cluster.now, ca_crt)

    def ask(self) -> dict[str, x509.Certificate | None]:
        self._stand()
        shown: dict[str, x509.Certificate | None] = {}
        for name in [name for name, server in self._cluster.replicas.items() if server.listed]:
            self._stand()
            gone = name not in self._cluster.replicas
            shown[name] = None if gone else self._cluster.shown_by(name)
        return shown
