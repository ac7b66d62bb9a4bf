"""The agent: follows the pods of the node and has a worker for each that runs as a process."""

import asyncio
import logging
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tradingbot_dev.pods.apiserver import MERGE, ApiError
from tradingbot_dev.pods.containers import PREFIX
from tradingbot_dev.pods.images import is_local
from tradingbot_dev.pods.kubelet_api import application, server_tls
from tradingbot_dev.pods.records import Record, recorded
from tradingbot_dev.pods.worker import RETRY_SECONDS, Node, PodWorker
from tradingbot_dev.processes.table import ProcessTable

JsonObject = dict[str, Any]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    worker: PodWorker
    task: "asyncio.Task[None]"


class Agent:
    """Runs the local pods of one node."""

    def __init__(self, node: Node, *, name: str) -> None:
        self._node = node
        self._name = name
        self._jobs: dict[str, _Job] = {}
        self._listed = False

    @property
    def listed(self) -> bool:
        """Whether the pods are known, so that processes without one have been found."""
        return self._listed

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """Return the worker of a pod, the newest if several have had that name."""
        found = [
            job.worker
            for job in self._jobs.values()
            if (job.worker.record.namespace, job.worker.record.name) == (namespace, name)
        ]
        return found[-1] if found else None

    async def run(self, *, port: int) -> None:
        """Follow the pods until cancelled. Processes stay then, for the next agent."""
        pods = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self._name}"
        try:
            while True:
                try:
                    await self._announce(port)
                    version = await self._list(pods)
                    while True:
                        version = await self._follow(pods, version)
                except ApiError as error:
                    if error.status != 410:
                        logger.warning("could not follow the pods: %s", error)
                        await asyncio.sleep(RETRY_SECONDS)
        finally:
            for job in self._jobs.values():
                job.task.cancel()
            await asyncio.gather(*(job.task for job in self._jobs.values()), return_exceptions=True)

    async def _announce(self, port: int) -> None:
        """Tell the API server where the kubelet of the node listens."""
        endpoints = {"kubeletEndpoint": {"Port": port}}
        body = {"status": {"daemonEndpoints": endpoints}}
        await self._node.api.patch(f"/api/v1/nodes/{self._name}/status", body, type_=MERGE)

    async def _list(self, path: str) -> str:
        found = await self._node.api.get(path)
        assert found is not None
        pods = {pod["metadata"]["uid"]: pod for pod in found["items"]}
        self._take_over(pods)
        for pod in pods.values():
            self._declare(pod)
        for uid, job in self._jobs.items():
            if uid not in pods:
                job.worker.declare(None)
        self._listed = True
        return str(found["metadata"]["resourceVersion"])

    async def _follow(self, path: str, version: str) -> str:
        """Follow the pods until the API server ends the watch. Return the newest version."""
        async for event in self._node.api.watch(path, since=version):
            pod = event["object"]
            version = pod["metadata"]["resourceVersion"]
            if event["type"] == "DELETED":
                job = self._jobs.get(pod["metadata"]["uid"])
                if job is not None:
                    job.worker.declare(None)
            else:
                self._declare(pod)
        return version

    def _take_over(self, pods: dict[str, JsonObject]) -> None:
        """Continue with what an agent before this one has left, at the first list."""
        if self._listed:
            return
        records = list(recorded(self._node.state.pods))
        self._end_unknown(records)
        for record in records:
            self._begin(PodWorker(self._node, record, pods.get(record.uid)))

    def _end_unknown(self, records: Iterable[Record]) -> None:
        """Kill processes of which no record says whose they are."""
        state = self._node.state
        table = ProcessTable(run=state.run, log=state.pods)
        known = {f"{PREFIX}{record.uid}-{name}" for record in records for name in record.attempts}
        for name, identity in table.all_running().items():
            if name.startswith(PREFIX) and name not in known:
                logger.warning("killing %s, which is not known", name)
                identity.send(signal.SIGKILL)

    def _declare(self, pod: JsonObject) -> None:
        metadata = pod["metadata"]
        job = self._jobs.get(metadata["uid"])
        if job is not None:
            job.worker.declare(pod)
        elif is_local(pod):
            record = Record.read(self._node.state.pod(metadata["uid"]))
            new = Record(metadata["namespace"], metadata["name"], metadata["uid"])
            self._begin(PodWorker(self._node, record or new, pod))

    def _begin(self, worker: PodWorker) -> None:
        uid = worker.record.uid
        task = asyncio.create_task(worker.run())
        self._jobs[uid] = _Job(worker, task)
        task.add_done_callback(lambda done: self._ended(uid, done))

    def _ended(self, uid: str, task: "asyncio.Task[None]") -> None:
        self._jobs.pop(uid, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the worker of pod %s failed; restart the agent", uid, exc_info=error)


async def serve(agent: Agent, *, port: int, ca: Path, certificate: Path, key: Path) -> None:
    """Run the agent with its HTTPS server until cancelled."""
    app = application(agent.find, ready=lambda: agent.listed)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        tls = server_tls(ca=ca, certificate=certificate, key=key)
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        await agent.run(port=port)
    finally:
        await runner.cleanup()
