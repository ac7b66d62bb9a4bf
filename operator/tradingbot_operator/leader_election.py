"""One of several operators acts: the loop that acquires a Lease, keeps it and gives it up."""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from tradingbot_api.model import JsonObject

from tradingbot_operator.kube import KubernetesApi, KubernetesError
from tradingbot_operator.lease import (
    Sighting,
    Step,
    Timing,
    claimed,
    decide,
    free_at,
    holder,
    is_ours,
    released,
    sighted,
    vacant,
)
from tradingbot_operator.settings import OperatorSettings
from tradingbot_operator.watches import LoginError

logger = logging.getLogger(__name__)

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
SYSTEM_NAMESPACE = "tradingbot-system"
SHORTEST_PAUSE = 0.01

_FAILURES = (KubernetesError, LoginError, TimeoutError)


class NotLeaderError(Exception):
    """This process can't be sure any more, or not yet, that no other one acts."""


class LeaseLostError(RuntimeError):
    """The lease could not be kept: another operator acts, or may soon."""


class Election(Protocol):
    """How an operator comes to be the one that acts."""

    write_seconds: float | None
    """How long a write may take; None: as long as it likes."""

    async def acquire(self) -> None:
        """Return once this process is the one."""

    async def keep(self) -> None:
        """Stay it until cancelled; raises LeaseLostError when that fails."""

    async def release(self) -> None:
        """Let another one act at once. Nothing may be written any more when this is called."""

    def guard(self) -> None:
        """Raises NotLeaderError unless this process may write now."""


class Alone:
    """The election of an operator that is the only one."""

    write_seconds: float | None = None

    async def acquire(self) -> None:
        """At once."""

    async def keep(self) -> None:
        """For ever."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """There is nobody to act instead."""

    def guard(self) -> None:
        """Always."""


class LeaderElection:
    """An election by the Lease `name` (namespace, name).

    `api` is used for nothing else, so that no other request stands in a renewal's way. `clock`
    must go on while the machine is suspended. `dead_man` is called with seconds after which the
    process must not execute another instruction (0: never mind), see `end_process_after`.
    """

    def __init__(
        self,
        api: KubernetesApi,
        *,
        name: tuple[str, str],
        identity: str,
        timing: Timing,
        clock: Callable[[], float],
        wall_clock: Callable[[], datetime],
        dead_man: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.identity = identity
        self.timing = timing
        self.write_seconds: float | None = timing.write
        self._api = api
        self._name = name
        self._clock = clock
        self._wall_clock = wall_clock
        self._dead_man = dead_man
        self._sighting: Sighting | None = None
        self._renewed: float | None = None
        """When the last renewal that succeeded was begun; None while this process does not lead."""
        self._complaint = ""

    def guard(self) -> None:
        """Raises NotLeaderError unless this process may write now."""
        age = self._age()
        if age == inf:
            raise NotLeaderError("this operator does not hold the lease")
        if age > self.timing.renew_deadline:
            raise NotLeaderError(f"this operator has not renewed the lease for {age:.1f} s")

    async def acquire(self) -> None:
        """Return once the lease is held; until then look at it now and then."""
        while True:
            if await self._tried():
                break
            await asyncio.sleep(self._pause())
        logger.info("this operator leads, as %s", self.identity)

    async def keep(self) -> None:
        """Renew until cancelled; raises LeaseLostError when that fails."""
        try:
            while True:
                await asyncio.sleep(self.timing.retry)
                await self._renew()
        except LeaseLostError:
            self._give_up()
            raise

    async def release(self) -> None:
        """Give the lease up, also one that a request has brought whose answer never came."""
        self._give_up()
        try:
            async with asyncio.timeout(self.timing.retry):
                lease = await self._api.get("Lease", *self._name)
                if lease is not None and holder(lease) == self.identity:
                    await self._api.replace(released(lease, now=self._wall_clock()))
                    logger.info("released the lease")
        except _FAILURES as error:
            logger.warning("the lease was not released, another waits for its end: %s", _say(error))
        self._dead_man(0)

    async def _tried(self) -> bool:
        """One look at the lease, and an attempt to get it if it is free."""
        try:
            async with asyncio.timeout(self.timing.retry):
                sighting = await self._look()
                now = self._clock()
                step = decide(sighting, self.identity, now, self.timing)
                if step is Step.CREATE:
                    await self._api.create(vacant(self._name, self.timing))
                if step in {Step.CREATE, Step.WAIT}:
                    self._complain("standing by: the lease is held by %s", _holder(sighting))
                    return False
                await self._claim(sighting, now)
        except KubernetesError as error:
            if not _overtaken(error):
                self._complain("the lease can't be had: %s", _say(error))
            return False
        except _FAILURES as error:
            self._complain("the lease can't be had: %s", _say(error))
            return False
        return True

    async def _renew(self) -> None:
        """Renew, trying again until the deadline."""
        reason = "no answer in time"
        while (left := self.timing.renew_deadline - self._age()) > 0:
            try:
                async with asyncio.timeout(min(left, self.timing.retry)):
                    await self._renew_once()
                    return
            except _FAILURES as error:
                reason = _say(error)
                logger.warning("the lease was not renewed, %.1f s are left: %s", left, reason)
            left = self.timing.renew_deadline - self._age()
            await asyncio.sleep(max(min(self.timing.retry / 4, left), SHORTEST_PAUSE))
        raise LeaseLostError(
            f"the lease {self._shown} could not be renewed for {self.timing.renew_deadline:g} s"
            f" ({reason}); ending, so that another operator acts"
        )

    async def _renew_once(self) -> None:
        begun = self._clock()
        try:
            await self._claim(self._sighting, begun)
        except KubernetesError as error:
            if not _overtaken(error):
                raise
            # Somebody has edited, deleted or taken it.
            sighting = await self._look()
            if not is_ours(sighting.lease, self.identity):
                raise LeaseLostError(
                    f"the lease {self._shown} is held by {_holder(sighting)}; ending, to stand by"
                ) from error
            await self._claim(sighting, begun)

    async def _look(self) -> Sighting:
        lease = await self._api.get("Lease", *self._name)
        self._sighting = sighted(self._sighting, lease, self._clock())
        return self._sighting

    async def _claim(self, sighting: Sighting | None, begun: float) -> None:
        """Write ourselves into the lease as it was last seen. Counts from `begun`."""
        lease = sighting.lease if sighting is not None else None
        manifest = claimed(
            lease,
            name=self._name,
            identity=self.identity,
            timing=self.timing,
            now=self._wall_clock(),
        )
        write = self._api.create if lease is None else self._api.replace
        answer: JsonObject = await write(manifest)
        now = self._clock()
        self._sighting = Sighting(answer, now)
        if now - begun > self.timing.renew_deadline:
            raise TimeoutError("the answer came too late")
        self._renewed = begun
        self._complaint = ""
        self._dead_man(begun + self.timing.dead_man - now)

    def _give_up(self) -> None:
        """No write is begun from here on; those under way must be over in time."""
        if self._renewed is not None:
            self._dead_man(max(self.timing.end - self._age(), 0.001))
        self._renewed = None

    def _age(self) -> float:
        """Seconds since the last renewal was begun."""
        return inf if self._renewed is None else self._clock() - self._renewed

    def _pause(self) -> float:
        """Until the next look: sooner if the lease becomes free sooner."""
        if self._sighting is None:
            return self.timing.look
        left = free_at(self._sighting, self.timing) - self._clock()
        return self.timing.look if left <= 0 else min(max(left, SHORTEST_PAUSE), self.timing.look)

    def _complain(self, message: str, what: str) -> None:
        """Log, unless that was the last thing to be said."""
        said = message % what
        if said != self._complaint:
            logger.info(said)
            self._complaint = said

    @property
    def _shown(self) -> str:
        return "/".join(self._name)


def election_of(
    settings: OperatorSettings, connection: KubernetesApi, wall_clock: Callable[[], datetime]
) -> Election:
    """The election that the settings ask for; a real one ends the process if need be."""
    if not settings.leader_election:
        return Alone()
    return LeaderElection(
        connection,
        name=(settings.lease_namespace or own_namespace(), settings.lease_name),
        identity=own_identity(),
        timing=Timing(settings.lease_duration),
        clock=boot_clock,
        wall_clock=wall_clock,
        dead_man=end_process_after,
    )


def boot_clock() -> float:
    """Seconds, also those for which the machine was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def end_process_after(seconds: float) -> None:
    """Let the kernel end this process (SIGALRM) after so long, unless called again; 0: never.

    A process that stood still can't look at a clock before it goes on: one that was stopped
    between the guard and the write would write first. The kernel delivers the signal before any
    instruction of the process.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)


def own_identity() -> str:
    """A name that no other process has, and that tells people which pod it is."""
    return f"{socket.gethostname()}_{os.getpid()}_{uuid4().hex[:12]}"


def own_namespace(file: Path = POD_NAMESPACE) -> str:
    """The namespace of the pod that this is, or that of the manifests."""
    try:
        return file.read_text(encoding="utf-8").strip() or SYSTEM_NAMESPACE
    except OSError:
        return SYSTEM_NAMESPACE


def _overtaken(error: KubernetesError) -> bool:
    """Whether the lease is no longer as it was seen."""
    return error.is_conflict or error.reason in {"AlreadyExists", "NotFound"}


def _holder(sighting: Sighting) -> str:
    return holder(sighting.lease) or "nobody"


def _say(error: BaseException) -> str:
    return str(error) or "no answer in time"
