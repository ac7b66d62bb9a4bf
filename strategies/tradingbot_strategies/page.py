"""The page of a bot: `GET /risk` for the operator, `GET /healthz` for people."""

from collections.abc import Callable

from aiohttp import web
from tradingbot_api.contract import RiskReport

MAX_AGE = 15_000
"""Milliseconds. Older figures are not reported: the operator would count them for 30 s at most."""


def application(
    report: Callable[[], RiskReport | None], clock: Callable[[], int]
) -> web.Application:
    """Return the page. `clock` is in milliseconds since the epoch."""

    def current() -> RiskReport | None:
        newest = report()
        if newest is None or clock() - newest.time.timestamp() * 1000 > MAX_AGE:
            return None
        return newest

    async def risk(_: web.Request) -> web.Response:
        newest = current()
        if newest is None:
            return web.json_response({"error": "the figures are not known"}, status=503)
        return web.Response(
            body=newest.model_dump_json(by_alias=True).encode(), content_type="application/json"
        )

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"figuresKnown": current() is not None})

    app = web.Application()
    app.add_routes([web.get("/risk", risk), web.get("/healthz", healthz)])
    return app
