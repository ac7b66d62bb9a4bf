"""What the operator's tests share: bots, children as an API server stores them, clocks, servers."""

import asyncio
import copy
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from aiohttp import web
from tradingbot_api import API_VERSION
from tradingbot_api.contract import RiskReport
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children import manifests
from tradingbot_operator.bots.observed import (
    Children,
    Credentials,
    Observed,
    replicas,
    running_hash,
)
from tradingbot_operator.bots.pods import BotPod, Pods

Result = TypeVar("Result")

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
"""A Wednesday."""

SECRET = "binance-creds"
SECRET_VERSION = "77"


async def cancelled(task: "asyncio.Task[Any]") -> None:
    """Cancel a task, and return once it has ended."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def merged(target: Any, patch: Any) -> Any:
    """Return `target` with an RFC 7396 merge patch applied."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def bot_body(spec: JsonObject | None = None, **parts: Any) -> JsonObject:
    """Return a stored bot; `spec` and `parts` are merge patches on a minimal one.

    It keeps its limits itself: most tests are not about a gateway.
    """
    body = {
        "apiVersion": API_VERSION,
        "kind": "TradingBot",
        "metadata": {
            "name": "arb",
            "namespace": "desk",
            "uid": "uid-arb",
            "generation": 3,
            "resourceVersion": "10",
            "finalizers": ["trading.io/cleanup"],
            "annotations": {"velero.io/restore-status": "true"},
        },
        "spec": {
            "strategy": {
                "type": "Arbitrage",
                "image": "ghcr.io/example/arb:1.0",
                "parameters": {"minProfitThreshold": "0.005"},
            },
            "exchange": {"name": "Binance", "apiKeySecret": SECRET},
            "riskManagement": {
                "enforcement": "Bot",
                "maxPositionSize": "1000",
                "dailyLossLimit": "200",
            },
        },
    }
    return dict(merged(body, {"spec": spec or {}, **parts}))


def bot(spec: JsonObject | None = None, **parts: Any) -> Bot:
    """Return the same bot as the operator reads it."""
    return Bot.read(bot_body(spec, **parts), now=NOW)


def as_stored(manifest: JsonObject, *, version: int = 1) -> JsonObject:
    """Return a child as an API server stores it, with its defaults."""
    stored = copy.deepcopy(manifest)
    stored["metadata"] |= {
        "uid": f"uid-{manifest['kind']}-{manifest['metadata']['name']}",
        "resourceVersion": str(version),
        "creationTimestamp": "2026-03-01T00:00:00Z",
        "managedFields": [{"manager": "tradingbot-operator", "operation": "Apply"}],
    }
    fill = {"Deployment": _fill_deployment, "Service": _fill_service}.get(manifest["kind"])
    if fill is not None:
        fill(stored["spec"])
    return stored


def _fill_deployment(spec: JsonObject) -> None:
    spec |= {"progressDeadlineSeconds": 600, "revisionHistoryLimit": 10}
    spec["strategy"] = {"type": spec["strategy"]["type"]}
    template = spec["template"]
    template["metadata"]["creationTimestamp"] = None
    pod = template["spec"]
    pod |= {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
    }
    for container in pod["containers"]:
        container |= {
            "imagePullPolicy": "IfNotPresent",
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }
    for volume in pod["volumes"]:
        if "configMap" in volume:
            volume["configMap"]["defaultMode"] = 420


def _fill_service(spec: JsonObject) -> None:
    spec |= {
        "type": "ClusterIP",
        "clusterIP": "10.0.0.7",
        "clusterIPs": ["10.0.0.7"],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
    }


def children_of(subject: Bot, *, count: int = 1, secret: str = SECRET_VERSION) -> Children:
    """Return the live children of a bot that runs as declared."""
    assert subject.spec is not None
    template, _ = manifests.pod_template(subject, subject.spec, secret)
    deployment = as_stored(manifests.deployment(subject, template=template, replicas=count))
    deployment["metadata"]["generation"] = 1
    deployment["status"] = {
        "observedGeneration": 1,
        "updatedReplicas": count,
        "availableReplicas": count,
        "conditions": [available(NOW - timedelta(hours=1))] if count else [],
    }
    config = manifests.Config.declared(subject, subject.spec)
    return Children(
        config_map=as_stored(manifests.config_map(subject, config)),
        deployment=deployment,
        service=as_stored(manifests.service(subject)),
    )


def available(since: datetime) -> JsonObject:
    """Return the condition of a Deployment whose pod is available since then."""
    return {
        "type": "Available",
        "status": "True",
        "lastTransitionTime": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def report(pnl: str = "0", *, at: datetime = NOW, **fields: Any) -> RiskReport:
    """Return the report of a bot for its trading day in UTC."""
    wire = {
        "tradingDay": at.date().isoformat(),
        "dayPnL": pnl,
        "openPositions": 0,
        "exposure": "0",
        "configHash": "0123456789abcdef",
        "time": at.isoformat(),
        **fields,
    }
    return RiskReport.model_validate(wire)


def observed(children: Children | None = None, **fields: Any) -> Observed:
    """What was found in the cluster: no children, and a Secret with both keys, unless said.

    And the pod that the Deployment asks for.
    """
    children = children or Children()
    pods = Pods(own=(bot_pod(children),)) if replicas(children) else Pods()
    known = {"credentials": Credentials(version=SECRET_VERSION), "pods": pods, **fields}
    return Observed(children=children, **known)


def bot_pod(children: Children, **fields: Any) -> BotPod:
    """Return the pod of a Deployment that has run for an hour."""
    since = NOW - timedelta(hours=1)
    known = {
        "name": "arb-1",
        "uid": "uid-pod",
        "address": "10.244.0.7",
        "created": since,
        "started": since,
        "ready": True,
        "restart_hash": running_hash(children),
        **fields,
    }
    return BotPod(**known)


class _SkippingSelector(selectors.DefaultSelector):
    """Skips the time that an event loop would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("every task waits for something that never comes")
        self.now += max(timeout, 0.0)
        return super().select(0)


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when there is no other work."""

    def __init__(self) -> None:
        self._skipping = _SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


def in_fake_time(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` to its end in an event loop of fake time."""
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        return runner.run(main)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, *, prefix: str = "") -> AsyncIterator[str]:
    """Serve every request on loopback with `handler`. Yields the URL."""
    app = web.Application()
    app.router.add_route("*", f"{prefix}/{{path:.*}}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}{prefix}"
    finally:
        await runner.cleanup()
