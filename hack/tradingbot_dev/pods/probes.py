"""HTTP probes and preStop hooks of containers, as the kubelet sends them.

Other handlers than `httpGet` are ignored.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp

JsonObject = dict[str, Any]

KINDS = ("startupProbe", "livenessProbe", "readinessProbe")
_GOOD = range(200, 400)


@dataclass(frozen=True)
class Probe:
    """One probe, with the defaults of Kubernetes."""

    url: str
    period: float
    timeout: float
    failures: int
    """How many in a row count as failed."""


def pod_port(container: JsonObject, port: str | int) -> int:
    """Return the number of a port, which may be named."""
    if isinstance(port, int):
        return port
    named = (each for each in container.get("ports") or () if each.get("name") == port)
    return int(next(named)["containerPort"])


def handler_url(container: JsonObject, handler: JsonObject, address: str) -> str:
    """Return the URL of an `httpGet` at the pod's address."""
    get = handler["httpGet"]
    return f"http://{address}:{pod_port(container, get['port'])}{get.get('path', '/')}"


def probes_of(container: JsonObject, address: str) -> dict[str, Probe]:
    """Return the probes of a container by their field."""
    return {
        kind: Probe(
            handler_url(container, found, address),
            float(found.get("periodSeconds", 10)),
            float(found.get("timeoutSeconds", 1)),
            int(found.get("failureThreshold", 3)),
        )
        for kind in KINDS
        if "httpGet" in (found := container.get(kind) or {})
    }


def pre_stop_url(container: JsonObject, address: str) -> str | None:
    """Return the URL of a container's preStop hook, None if it has none."""
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    return handler_url(container, hook, address) if "httpGet" in hook else None


async def answer(url: str, *, within: float) -> int:
    """Return the status of an answer, 0 if there is none within that many seconds."""
    limit = aiohttp.ClientTimeout(total=within)
    try:
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as found:
            return found.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        return 0


@dataclass
class Probing:
    """The probes of one attempt of a container, while its process runs.

    The startup probe runs alone until it succeeds. `changed` is called when a result changes;
    `failed` when a startup or liveness probe has failed: the container must be restarted.
    """

    attempt: int
    probes: dict[str, Probe]
    changed: Callable[[], None]
    failed: Callable[[str], None]
    started: bool = field(init=False)
    ready: bool = field(init=False)
    _tasks: list["asyncio.Task[None]"] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Begin to probe."""
        self.started = "startupProbe" not in self.probes
        self.ready = self.started and "readinessProbe" not in self.probes
        if self.probes:
            self._tasks.append(asyncio.create_task(self._run()))

    def cancel(self) -> None:
        """End the probes."""
        for task in self._tasks:
            task.cancel()

    async def _run(self) -> None:
        if (startup := self.probes.get("startupProbe")) is not None:
            if not await self._until(startup, good=True):
                self.failed("Startup")
                return
            self.started = True
            self.ready = "readinessProbe" not in self.probes
            self.changed()
        for kind, run in (("livenessProbe", self._live), ("readinessProbe", self._follow)):
            if (probe := self.probes.get(kind)) is not None:
                self._tasks.append(asyncio.create_task(run(probe)))

    async def _live(self, probe: Probe) -> None:
        if not await self._until(probe, good=False):
            self.failed("Liveness")

    async def _until(self, probe: Probe, *, good: bool) -> bool:
        """Probe until one succeeds, if `good`. Return False once the probe has failed."""
        bad = 0
        while bad < probe.failures:
            if await answer(probe.url, within=probe.timeout) in _GOOD:
                if good:
                    return True
                bad = 0
            else:
                bad += 1
            await asyncio.sleep(probe.period)
        return False

    async def _follow(self, probe: Probe) -> None:
        bad = 0
        while True:
            good = await answer(probe.url, within=probe.timeout) in _GOOD
            bad = 0 if good else bad + 1
            ready = good or (self.ready and bad < probe.failures)
            if ready != self.ready:
                self.ready = ready
                self.changed()
            await asyncio.sleep(probe.period)


class Probings:
    """The probes of the containers of one pod, by name.

    `changed` is called when a result changes, `failed` with the name of a container to restart.
    """

    def __init__(self, changed: Callable[[], None], failed: Callable[[str, str], None]) -> None:
        self._changed = changed
        self._failed = failed
        self._of: dict[str, Probing] = {}

    def of(self, container: JsonObject, *, attempt: int, address: str) -> Probing:
        """Return the probes of an attempt of a container. They begin with the first call."""
        name = container["name"]
        found = self._of.get(name)
        if found is None or found.attempt != attempt:
            if found is not None:
                found.cancel()
            probes, failed = probes_of(container, address), partial(self._failed, name)
            found = self._of[name] = Probing(attempt, probes, self._changed, failed)
        return found

    def cancel(self) -> None:
        """End all probes."""
        for found in self._of.values():
            found.cancel()
