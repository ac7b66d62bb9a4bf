"""`/healthz`, `/readyz` and `/metrics` of the operator."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from tradingbot_process.listening import BACKLOG, listen

from tradingbot_operator.metrics import Metrics
from tradingbot_operator.metrics_access import MetricsAccess


@asynccontextmanager
async def health_server(
    host: str,
    port: int,
    *,
    metrics: Metrics,
    refresh: Callable[[], None],
    unready: Callable[[], str],
    unhealthy: Callable[[], str] = lambda: "",
    metrics_token_file: str = "",
) -> AsyncIterator[None]:
    """Serve while the body runs.

    `unready` returns why the operator is not ready, `unhealthy` why it must be restarted; empty if
    neither is so. `refresh` is called before metrics are served. Raises ListenError.
    """
    access = MetricsAccess(host, metrics_token_file)

    async def healthz(_: web.Request) -> web.Response:
        reason = unhealthy()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    async def readyz(_: web.Request) -> web.Response:
        reason = unready()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    async def show_metrics(request: web.Request) -> web.Response:
        refused = access.refusal(request.headers.get("Authorization"))
        if refused is not None:
            return refused
        refresh()
        # In a thread: the gauges of thousands of bots take a while to format.
        text = await asyncio.to_thread(generate_latest, metrics.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", show_metrics),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        sock = listen(host, port, setting="--health-port")
        await web.SockSite(runner, sock, backlog=BACKLOG).start()
        yield
    finally:
        await runner.cleanup()
