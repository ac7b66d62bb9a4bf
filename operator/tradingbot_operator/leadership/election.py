"""Leader election by a Lease: acquire it, renew it, release it.

    acquire            read the Lease every `poll` seconds until it is free, then write ourselves in
    renew_until_lost   renew every `retry` seconds; raise LeaseLostError when that fails
    guard              called before every write of this process: is the last renewal recent enough?
    release            remove ourselves from the Lease

A process that has lost the lease ends and starts again as a standby: nothing of what it was doing
can go on by mistake. See `lease.Timing` for the times.
"""

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
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.cluster.login import LoginError
from tradingbot_operator.leadership.lease import (
    LeaseAction,
    LeaseObservation,
    Timing,
    claimed,
    decide,
    free_at,
    holder,
    is_ours,
    observe_lease,
    released,
    vacant,
)
from tradingbot_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
SYSTEM_NAMESPACE = "tradingbot-system"
SHORTEST_PAUSE = 0.01

_FAILURES = (KubernetesError, LoginError, TimeoutError)


class NotLeaderError(Exception):
    """This process does not hold the lease, or can't be sure that it still does."""


class LeaseLostError(RuntimeError):
    """The lease could not be renewed: another operator acts, or may soon."""


class Election(Protocol):
    """How an operator becomes the one that acts."""

    write_seconds: float | None
    """The time-out of a write; None for the default."""

    async def acquire(self) -> None:
        """Return when this process is the leader."""

    async def renew_until_lost(self) -> None:
        """Stay the leader until cancelled. Raises LeaseLostError if that fails."""

    async def release(self) -> None:
        """Let another operator act at once. The caller must have stopped writing."""

    def guard(self) -> None:
        """Raise NotLeaderError unless this process may write now."""


class NoElection:
    """The election of an operator that runs alone: it always leads."""

    write_seconds: float | None = None

    async def acquire(self) -> None:
        """Return at once."""

    async def renew_until_lost(self) -> None:
        """Wait until cancelled."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Do nothing."""

    def guard(self) -> None:
        """Allow every write."""


class LeaderElection:
    """An election by the Lease `name`.

    `api` must not be used for anything else, so that no other request delays a renewal. `clock`
    must go on while the machine is suspended. `watchdog` is called with the seconds after which the
    process must not execute another instruction (0: no limit), see `end_process_after`.
    """

    def __init__(
        self,
        api: KubernetesApi,
        *,
        name: NamespacedName,
        identity: str,
        timing: Timing,
        clock: Callable[[], float],
        wall_clock: Callable[[], datetime],
        watchdog: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.identity = identity
        self.timing = timing
        self.write_seconds: float | None = timing.write
        self._api = api
        self._name = name
        self._clock = clock
        self._wall_clock = wall_clock
        self._watchdog = watchdog
        self._observation: LeaseObservation | None = None
        self._renewed: float | None = None
        """When the last successful renewal began; None while this process does not lead."""
        self._last_message = ""

    def guard(self) -> None:
        """Raise NotLeaderError unless this process may write now."""
        age = self._age()
        if age == inf:
            raise NotLeaderError("this operator does not hold the lease")
        if age > self.timing.renew_deadline:
            raise NotLeaderError(f"this operator has not renewed the lease for {age:.1f} s")

    async def acquire(self) -> None:
        """Return when the lease is held. Read it every `poll` seconds until then."""
        while True:
            if await self._try_to_acquire():
                break
            await asyncio.sleep(self._pause())
        logger.info("This operator is the leader, as %s", self.identity)

    async def renew_until_lost(self) -> None:
        """Renew until cancelled. Raises LeaseLostError when that fails."""
        try:
            while True:
                await asyncio.sleep(self.timing.retry)
                await self._renew()
        except LeaseLostError:
            self._stop_leading()
            raise

    async def release(self) -> None:
        """Release the lease, also if the request that acquired it was never answered."""
        self._stop_leading()
        try:
            async with asyncio.timeout(self.timing.retry):
                lease = await self._api.get("Lease", *self._name)
                if lease is not None and holder(lease) == self.identity:
                    await self._api.replace(released(lease, now=self._wall_clock()))
                    logger.info("Released the lease")
        except _FAILURES as error:
            logger.warning("Could not release the lease, so it has to expire: %s", _text_of(error))
        self._watchdog(0)

    async def _try_to_acquire(self) -> bool:
        """Read the lease, and try to acquire it if it is free. Return whether it is held now."""
        try:
            async with asyncio.timeout(self.timing.retry):
                observation = await self._observe()
                now = self._clock()
                action = decide(observation, self.identity, now, self.timing)
                if action is LeaseAction.CREATE:
                    await self._api.create(vacant(self._name, self.timing))
                if action in {LeaseAction.CREATE, LeaseAction.WAIT}:
                    self._log_once("Standing by: the lease is held by %s", _holder(observation))
                    return False
                await self._claim(observation, now)
        except KubernetesError as error:
            if not _was_changed(error):
                self._log_once("Could not acquire the lease: %s", _text_of(error))
            return False
        except _FAILURES as error:
            self._log_once("Could not acquire the lease: %s", _text_of(error))
            return False
        return True

    async def _renew(self) -> None:
        """Renew once, trying again until the deadline."""
        reason = "no answer in time"
        while (left := self.timing.renew_deadline - self._age()) > 0:
            try:
                async with asyncio.timeout(min(left, self.timing.retry)):
                    await self._renew_once()
                    return
            except _FAILURES as error:
                reason = _text_of(error)
                logger.warning("Could not renew the lease, %.1f s are left: %s", left, reason)
            left = self.timing.renew_deadline - self._age()
            await asyncio.sleep(max(min(self.timing.retry / 4, left), SHORTEST_PAUSE))
        raise LeaseLostError(
            f"the lease {self._name} could not be renewed for {self.timing.renew_deadline:g} s"
            f" ({reason}); ending, so that another operator acts"
        )

    async def _renew_once(self) -> None:
        begun = self._clock()
        try:
            await self._claim(self._observation, begun)
        except KubernetesError as error:
            if not _was_changed(error):
                raise
            # The lease was edited, deleted or taken. Only the last of these ends the leadership.
            observation = await self._observe()
            if not is_ours(observation.lease, self.identity):
                raise LeaseLostError(
                    f"the lease {self._name} is held by {_holder(observation)}; ending, to stand by"
                ) from error
            await self._claim(observation, begun)

    async def _observe(self) -> LeaseObservation:
        lease = await self._api.get("Lease", *self._name)
        self._observation = observe_lease(self._observation, lease, self._clock())
        return self._observation

    async def _claim(self, observation: LeaseObservation | None, begun: float) -> None:
        """Write this process into the lease as it was last read. It counts from `begun`.

        A change since that read is a conflict, so two operators can't both succeed.
        """
        lease = observation.lease if observation is not None else None
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
        self._observation = LeaseObservation(answer, now)
        if now - begun > self.timing.renew_deadline:
            raise TimeoutError("the answer came too late")
        self._renewed = begun
        self._last_message = ""
        self._watchdog(begun + self.timing.watchdog - now)

    def _stop_leading(self) -> None:
        """Begin no write from here on. The watchdog waits for those that are under way."""
        if self._renewed is not None:
            self._watchdog(max(self.timing.end - self._age(), 0.001))
        self._renewed = None

    def _age(self) -> float:
        """Return the seconds since the last renewal began."""
        return inf if self._renewed is None else self._clock() - self._renewed

    def _pause(self) -> float:
        """Return the seconds until the next read: fewer if the lease becomes free sooner."""
        if self._observation is None:
            return self.timing.poll
        left = free_at(self._observation, self.timing) - self._clock()
        return self.timing.poll if left <= 0 else min(max(left, SHORTEST_PAUSE), self.timing.poll)

    def _log_once(self, message: str, detail: str) -> None:
        """Log a message unless it repeats the last one."""
        text = message % detail
        if text != self._last_message:
            logger.info(text)
            self._last_message = text


def election_of(
    settings: OperatorSettings, connection: KubernetesApi, wall_clock: Callable[[], datetime]
) -> Election:
    """Return the election of the settings. A real one arms a watchdog that can end the process."""
    if not settings.leader_election:
        return NoElection()
    return LeaderElection(
        connection,
        name=NamespacedName(settings.lease_namespace or own_namespace(), settings.lease_name),
        identity=own_identity(),
        timing=Timing(settings.lease_duration),
        clock=boot_clock,
        wall_clock=wall_clock,
        watchdog=end_process_after,
    )


def boot_clock() -> float:
    """Return the seconds since boot, including those in which the machine was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def end_process_after(seconds: float) -> None:
    """Make the kernel end this process (SIGALRM) after `seconds`, unless called again; 0: never.

    A process that stood still between the guard and the write would write before it could check the
    time again. The kernel delivers the signal before the process executes another instruction.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)


def own_identity() -> str:
    """Return a name that is unique to this process and starts with the name of its pod."""
    return f"{socket.gethostname()}_{os.getpid()}_{uuid4().hex[:12]}"


def own_namespace(file: Path = POD_NAMESPACE) -> str:
    """Return the namespace of this pod; outside of a pod, that of the manifests."""
    try:
        return file.read_text(encoding="utf-8").strip() or SYSTEM_NAMESPACE
    except OSError:
        return SYSTEM_NAMESPACE


def _was_changed(error: KubernetesError) -> bool:
    """Return whether the lease has changed since it was read."""
    return error.is_conflict or error.reason in {"AlreadyExists", "NotFound"}


def _holder(observation: LeaseObservation) -> str:
    return holder(observation.lease) or "nobody"


def _text_of(error: BaseException) -> str:
    return str(error) or "no answer in time"
