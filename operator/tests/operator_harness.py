"""What the operator's tests share: bots, children as an API server stores them, clocks, servers."""

import asyncio
import copy
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from aiohttp import web
from tradingbot_api import API_VERSION
from tradingbot_api.contract import RiskReport
from tradingbot_api.model import JsonObject
from tradingbot_operator import desired
from tradingbot_operator.bot import Bot
from tradingbot_operator.plan import Children, Credentials, Observed

Result = TypeVar("Result")

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
"""A Wednesday."""

SECRET = "binance-creds"
SECRET_VERSION = "77"


def merged(target: Any, patch: Any) -> Any:
    """`target` with an RFC 7396 merge patch applied."""
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
    """A stored bot; `spec` and `parts` are merge patches on a plain one."""
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
        },
        "spec": {
            "strategy": {
                "type": "Arbitrage",
                "image": "ghcr.io/example/arb:1.0",
                "parameters": {"minProfitThreshold": "0.005"},
            },
            "exchange": {"name": "Binance", "apiKeySecret": SECRET},
            "riskManagement": {"maxPositionSize": "1000", "dailyLossLimit": "200"},
        },
    }
    return dict(merged(body, {"spec": spec or {}, **parts}))


def bot(spec: JsonObject | None = None, **parts: Any) -> Bot:
    """The same as the operator reads it."""
    return Bot.read(bot_body(spec, **parts), now=NOW)


def as_stored(manifest: JsonObject, *, version: int = 1) -> JsonObject:
    """A child as an API server stores it: with all that it fills in."""
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
    pod |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default"}
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


def children_of(subject: Bot, *, replicas: int = 1, secret: str = SECRET_VERSION) -> Children:
    """The live children of a bot that runs as its spec says."""
    assert subject.spec is not None
    template, _ = desired.pod_template(subject, subject.spec, secret)
    deployment = as_stored(desired.deployment(subject, template=template, replicas=replicas))
    deployment["metadata"]["generation"] = 1
    deployment["status"] = {
        "observedGeneration": 1,
        "updatedReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": [available(NOW - timedelta(hours=1))] if replicas else [],
    }
    config = desired.Config.declared(subject, subject.spec)
    return Children(
        config_map=as_stored(desired.config_map(subject, config)),
        deployment=deployment,
        service=as_stored(desired.service(subject)),
    )


def available(since: datetime) -> JsonObject:
    """The condition of a Deployment whose pod is available since then."""
    return {
        "type": "Available",
        "status": "True",
        "lastTransitionTime": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def report(pnl: str = "0", *, at: datetime = NOW, **fields: Any) -> RiskReport:
    """What a bot reports of its trading day in UTC."""
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
    """What was found in the cluster: no children, and a Secret with both keys, unless said."""
    known = {"credentials": Credentials(version=SECRET_VERSION), **fields}
    return Observed(children=children or Children(), **known)


class _SkippingSelector(selectors.DefaultSelector):
    """Skips the time that a loop would wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("every task waits for something that never comes")
        self.now += max(timeout, 0.0)
        return super().select(0)


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer whenever nothing else is to be done."""

    def __init__(self) -> None:
        self._skipping = _SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


def in_fake_time(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` to its end in a loop of fake time."""
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        return runner.run(main)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, *, prefix: str = "") -> AsyncIterator[str]:
    """A server on loopback that answers every request with `handler`; its URL."""
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
