"""What the gateway tells the operator, the kubelet and Prometheus, and the call that ends entries.

`GET /risk` is that of docs/bot-contract.md. It answers 503 with a reason while a figure is unknown:
a zero would say that all is well. The header `HEADER` says in a word why the gateway is not ready,
or warns.
"""

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from tradingbot_api.entry_grant import MOMENT_PATH, GatewayMoment
from tradingbot_api.gateway_state import HEADER

from tradingbot_gateway.gate import Gate
from tradingbot_gateway.grants import node_moment
from tradingbot_gateway.risk.figures import Unknown

DRAIN_REASON = "the pod is being stopped"
_UNAVAILABLE = 503


def report_application(gate: Gate) -> web.Application:
    """Return the application for /risk, /healthz, /readyz and /metrics."""

    async def risk(_: web.Request) -> web.Response:
        found = gate.report()
        notice = gate.notice(found)
        headers = {} if notice is None else {HEADER: notice.header()}
        if isinstance(found, Unknown):
            body = {"reason": found.reason}
            return web.json_response(body, status=_UNAVAILABLE, headers=headers)
        text = found.model_dump_json(by_alias=True)
        return web.Response(text=text, content_type="application/json", headers=headers)

    async def moment(_: web.Request) -> web.Response:
        answer = GatewayMoment(moment=node_moment().text(), config_hash=gate.config.config_hash)
        text = answer.model_dump_json(by_alias=True)
        return web.Response(text=text, content_type="application/json")

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if gate.reconciled:
            return web.Response(text="ok\n")
        notice = gate.notice(None)
        text = "" if notice is None else f"{notice.header()}\n"
        return web.Response(text=text, status=_UNAVAILABLE)

    async def metrics(_: web.Request) -> web.Response:
        gate.figures()
        body = generate_latest(gate.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [
            web.get("/risk", risk),
            web.get(MOMENT_PATH, moment),
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
        ]
    )
    return app


def drain_application(gate: Gate) -> web.Application:
    """Return the application for /drain: entries end at once, and for this process for good.

    Anyone who reaches the port may call it: the effect is in the safe direction, and a restart of
    the container undoes it.
    """

    async def drain(_: web.Request) -> web.Response:
        gate.terminate(DRAIN_REASON)
        return web.Response(text="entries have ended\n")

    app = web.Application()
    app.add_routes([web.get("/drain", drain)])
    return app
