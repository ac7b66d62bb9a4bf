"""Keep one pod as declared: its volumes, its processes, its status, and in the end its removal.

`_reconcile` compares what is declared with what runs, and is repeated at each event: the pod
changed, a process ended, a back-off is over, or two seconds have passed, after which ConfigMaps
and Secrets are read again. All that must outlive the agent is in the record and in exit files.
"""

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from tradingbot_dev.errors import ProcessDiedError
from tradingbot_dev.pods import status as pod_status
from tradingbot_dev.pods.apiserver import STRATEGIC_MERGE, ApiError, ApiServer
from tradingbot_dev.pods.backoff import Backoff
from tradingbot_dev.pods.containers import Container, State
from tradingbot_dev.pods.listening import taken_port
from tradingbot_dev.pods.objects import (
    MissingError,
    Objects,
    Reference,
    environment_references,
    volume_references,
)
from tradingbot_dev.pods.plan import (
    HOST_ADDRESS,
    ContainerPlan,
    address_of,
    container_plan,
    containers_of,
    next_to_end,
    sidecars_of,
)
from tradingbot_dev.pods.probes import Probings, answer, pre_stop_url
from tradingbot_dev.pods.records import Attempt, Record, event_of, read_ending
from tradingbot_dev.pods.status import ContainerState, Running, Terminated, Waiting
from tradingbot_dev.pods.tokens import Tokens
from tradingbot_dev.pods.volumes import token_requests, volume_files, write

JsonObject = dict[str, Any]

POLL_SECONDS = 2.0
RETRY_SECONDS = 1.0
FORCED_GRACE = timedelta(seconds=2)
"""How long a process has whose pod was deleted by force: no object says so any more."""
HOOK_SECONDS = 5.0
ROUNDING = timedelta(seconds=1)
"""The API server cuts the deletion time to seconds; the grace period must not get shorter."""
_PATHS = {"ConfigMap": "configmaps", "Secret": "secrets"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Node:
    """What the pods of the node have in common."""

    api: ApiServer
    state: State
    clock: Callable[[], datetime]
    surroundings: dict[str, str] = field(default_factory=dict)
    """Variables of every container."""


class PodWorker:
    """Runs one pod. `pod` is None for one that was deleted while no agent ran."""

    def __init__(self, node: Node, record: Record, pod: JsonObject | None) -> None:
        self.record = record
        self._node = node
        self._pod = pod
        self._gone_since = node.clock() if pod is None else None
        self._wake = asyncio.Event()
        self._backoffs: dict[str, Backoff] = {}
        self._watched: dict[str, int] = {}
        self._asked_to_end: set[str] = set()
        self._told: set[tuple[str, str]] = set()
        self._tokens = Tokens(node.api, node.clock)
        self._probings = Probings(self._wake.set, self._probe_failed)
        self._hooks: asyncio.Task[None] | None = None

    @cached_property
    def address(self) -> str:
        return address_of(self.record.uid)

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.record.namespace}/pods/{self.record.name}"

    def declare(self, pod: JsonObject | None) -> None:
        """Take the pod as it is now; None if it was deleted."""
        self._pod = pod
        if pod is None and self._gone_since is None:
            self._gone_since = self._node.clock()
        self._wake.set()

    def container(self, name: str) -> Container:
        record = self.record
        logs = self._node.state.logs(record.namespace, record.name, record.uid)
        return Container(self._node.state, record.uid, name, logs)

    async def run(self) -> None:
        """Run the pod until it is gone, or until cancelled: then its processes stay."""
        try:
            while True:
                self._wake.clear()
                try:
                    delay = await self._reconcile()
                except (ApiError, OSError, ProcessDiedError) as error:
                    logger.warning("%s/%s: %s", self.record.namespace, self.record.name, error)
                    delay = RETRY_SECONDS
                if delay is None:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), delay)
        finally:
            for name in list(self._watched):
                self._unwatch(name)
            self._probings.cancel()
            if self._hooks is not None:
                self._hooks.cancel()

    async def _reconcile(self) -> float | None:
        """Take the next steps. Return after how many seconds to look again, None at the end."""
        now = self._node.clock()
        deadline = self._deadline()
        if deadline is None:
            return await self._keep(now)
        return await self._stop(deadline, now)

    def _deadline(self) -> datetime | None:
        """Return when the processes must have ended; None for a pod that is to run."""
        if self._pod is None:
            assert self._gone_since is not None
            return self._gone_since + FORCED_GRACE
        if text := self._pod["metadata"].get("deletionTimestamp"):
            return pod_status.instant(text) + ROUNDING
        return None

    async def _keep(self, now: datetime) -> float:
        assert self._pod is not None
        delays = [POLL_SECONDS]
        volumes_missing = await self._write_volumes(now)
        states: list[ContainerState] = []
        for declared in containers_of(self._pod):
            state = self._observed(declared, now)
            if not state.runs and not self._waits_for(states):
                state, until = await self._restart(declared, state, volumes_missing, now)
                if until is not None:
                    delays.append((until - now).total_seconds())
            if state.runs:
                self._watch(state.name)
                state = self._probed(declared, state)
            states.append(state)
        await self._write_status(states, now)
        return max(0.0, min(delays))

    def _waits_for(self, earlier: Iterable[ContainerState]) -> bool:
        """Return whether a container waits for a sidecar before it.

        Once one of the pod's main containers has been started, none waits any more.
        """
        if self.record.attempts.keys() - sidecars_of(self._pod):
            return False
        return any(not (found.runs and found.started) for found in earlier)

    def _probed(self, declared: JsonObject, state: ContainerState) -> ContainerState:
        """Return the state of a container that runs, with what its probes have found so far."""
        probing = self._probings.of(declared, attempt=state.restarts, address=self.address)
        return replace(state, started=probing.started, passes=probing.ready)

    def _probe_failed(self, name: str, kind: str) -> None:
        logger.warning("%s/%s: %s probe of %s", self.record.namespace, self.record.name, kind, name)
        self.container(name).kill()

    def _observed(self, declared: JsonObject, now: datetime) -> ContainerState:
        """Return the state of a container as it is, with the end of the attempt before."""
        name = declared["name"]
        attempt = self.record.attempts.get(name)
        if attempt is None:
            return ContainerState(name, declared["image"], Waiting())
        found = ContainerState(
            name, declared["image"], Waiting(), restarts=attempt.number, last=attempt.before
        )
        shim = self.container(name).running()
        if shim is not None:
            return replace(found, state=Running(attempt.started), handle=f"process://{shim.pid}")
        exit_file = self.container(name).exit_file(attempt.number)
        return replace(found, state=read_ending(exit_file, started=attempt.started, now=now))

    async def _restart(
        self, declared: JsonObject, found: ContainerState, volumes_missing: bool, now: datetime
    ) -> tuple[ContainerState, datetime | None]:
        """Start a container that does not run, unless it has to wait. Return until when."""
        name = found.name
        ending = found.state if isinstance(found.state, Terminated) else None
        backoff = self._backoffs.get(name, Backoff())
        if ending is not None:
            found = replace(found, last=ending)
            if now < (until := backoff.until(ending.finished)):
                return await self._backed_off(found, backoff), until
        if volumes_missing:
            return replace(found, state=Waiting()), None
        if taken := taken_port(declared, self.address):
            await self._tell("Warning", "Failed", f"Error: {taken}")
            return replace(found, state=Waiting("CreateContainerError", taken)), None
        try:
            plan = await self._plan(declared)
        except MissingError as error:
            await self._tell("Warning", "Failed", f"Error: {error}")
            return replace(found, state=Waiting("CreateContainerConfigError", str(error))), None
        if ending is not None:
            self._backoffs[name] = backoff.after_restart(finished=ending.finished, now=now)
        number = 0 if ending is None else found.restarts + 1
        attempts = {**self.record.attempts, name: Attempt(number, now, ending)}
        self.record = replace(self.record, attempts=attempts)
        await asyncio.to_thread(self._start, plan, number)
        await self._tell("Normal", "Started", f"Started container {name}", again=True)
        shim = self.container(name).running()
        handle = f"process://{shim.pid}" if shim is not None else ""
        return replace(found, state=Running(now), restarts=number, handle=handle), None

    def _start(self, plan: ContainerPlan, number: int) -> None:
        self.record.write(self._node.state.pod(self.record.uid))
        self.container(plan.name).start(plan, attempt=number)

    async def _backed_off(self, found: ContainerState, backoff: Backoff) -> ContainerState:
        pod = f"{self.record.name}_{self.record.namespace}({self.record.uid})"
        seconds = int(backoff.delay.total_seconds())
        spoken = f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"
        message = f"back-off {spoken} restarting failed container={found.name} pod={pod}"
        text = f"Back-off restarting failed container {found.name} in pod {pod}"
        await self._tell("Warning", "BackOff", text)
        return replace(found, state=Waiting("CrashLoopBackOff", message))

    async def _plan(self, declared: JsonObject) -> ContainerPlan:
        return container_plan(
            self._addressed(),
            declared,
            await self._objects(environment_references(declared)),
            directory=self._node.state.pod(self.record.uid),
            surroundings=self._node.surroundings,
        )

    def _addressed(self) -> JsonObject:
        """Return the pod with its address, which the API server may not have yet."""
        assert self._pod is not None
        addresses = {"podIP": self.address, "hostIP": HOST_ADDRESS}
        return {**self._pod, "status": {**(self._pod.get("status") or {}), **addresses}}

    async def _objects(self, references: Iterable[Reference]) -> Objects:
        found = {}
        for reference in set(references):
            kind = _PATHS[reference.kind]
            path = f"/api/v1/namespaces/{self.record.namespace}/{kind}/{reference.name}"
            found[reference] = await self._node.api.get(path)
        return found

    async def _write_volumes(self, now: datetime) -> bool:
        """Write the files of all volumes. Return whether something for one does not exist."""
        pod = self._addressed()
        objects = await self._objects(volume_references(pod))
        directory = self._node.state.pod(self.record.uid)
        missing = False
        tokens = await self._tokens.current(pod, token_requests(pod))
        for volume in pod["spec"].get("volumes") or ():
            try:
                files = volume_files(pod, volume, objects, tokens)
            except MissingError as error:
                text = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
                await self._tell("Warning", "FailedMount", text)
                missing = True
                continue
            place = directory.volume(volume["name"])
            if files is None:
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
            else:
                write(place, files, now=now)
        return missing

    async def _stop(self, deadline: datetime, now: datetime) -> float | None:
        names = list(self.record.attempts)
        running = [name for name in names if self.container(name).running() is not None]
        if not running:
            await self._finish(now)
            return None
        self._run_hooks()
        for name in next_to_end(running, sidecars_of(self._pod)):
            if now < deadline and name not in self._asked_to_end:
                self._asked_to_end.add(name)
                self.container(name).terminate()
                await self._tell("Normal", "Killing", f"Stopping container {name}")
        for name in running:
            self._watch(name)
            if now >= deadline:
                self.container(name).kill()
        return RETRY_SECONDS if now >= deadline else (deadline - now).total_seconds()

    def _run_hooks(self) -> None:
        """Call the preStop hooks of all containers at once, as the kubelet does.

        Nothing waits for them: that of a sidecar has the time in which other containers end.
        """
        if self._hooks is not None or self._pod is None:
            return
        found = (pre_stop_url(declared, self.address) for declared in containers_of(self._pod))
        urls = [url for url in found if url is not None]

        async def call() -> None:
            await asyncio.gather(*(answer(url, within=HOOK_SECONDS) for url in urls))

        self._hooks = asyncio.create_task(call())

    async def _finish(self, now: datetime) -> None:
        """Remove the object of a pod without processes, and then its files."""
        directory, record = self._node.state.pod(self.record.uid), self.record
        if self._pod is not None:
            declared = containers_of(self._pod)
            await self._write_status([self._observed(found, now) for found in declared], now)
            try:
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": record.uid}}
                await self._node.api.delete(self._path, options)
            except ApiError as error:
                if error.status not in (404, 409):  # it is gone, or another has its name
                    raise
        for name in record.attempts:
            self.container(name).forget()
        # Files without a pod are found by the next agent, if this is interrupted.
        logs = self._node.state.logs(record.namespace, record.name, record.uid)
        for tree in (logs, directory.path):
            shutil.rmtree(tree, ignore_errors=True)

    async def _write_status(self, states: list[ContainerState], now: datetime) -> None:
        assert self._pod is not None
        names = sidecars_of(self._pod)
        status = pod_status.pod_status(
            self._pod,
            [found for found in states if found.name not in names],
            address=self.address,
            now=now,
            sidecars=[found for found in states if found.name in names],
        )
        if not pod_status.differs(status, self._pod.get("status") or {}):
            return
        body = {"metadata": {"uid": self.record.uid}, "status": status}
        try:
            written = await self._node.api.patch(
                f"{self._path}/status", body, type_=STRATEGIC_MERGE
            )
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            return
        # The watch may have brought a newer one meanwhile, and brings this one too.
        if self._pod is not None and not self._wake.is_set():
            self._pod = written

    async def _tell(self, type_: str, reason: str, message: str, *, again: bool = False) -> None:
        """Post an event on the pod, once for each message unless `again`."""
        if (reason, message) in self._told and not again:
            return
        self._told.add((reason, message))
        if self._pod is None:
            return
        node = self._pod["spec"].get("nodeName", "")
        when = pod_status.timestamp(self._node.clock())
        event = event_of(self.record, type_, reason, message, node=node, when=when)
        with suppress(ApiError):  # the namespace may be terminating; nothing depends on an event
            await self._node.api.post(f"/api/v1/namespaces/{self.record.namespace}/events", event)

    def _watch(self, name: str) -> None:
        """Wake up when a container's process ends."""
        if name in self._watched:
            return
        identity = self.container(name).running()
        if identity is None:
            self._wake.set()
            return
        try:
            descriptor = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            self._wake.set()
            return
        self._watched[name] = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._ended, name)

    def _ended(self, name: str) -> None:
        self._unwatch(name)
        self._wake.set()

    def _unwatch(self, name: str) -> None:
        descriptor = self._watched.pop(name)
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
