"""What the bot connects to: Coinbase's REST and WebSocket, on one port with TLS."""

from collections.abc import Mapping

from aiohttp import web
from tradingbot_exchange.bodies import read_body
from tradingbot_exchange.coinbase.authentication import SignedRequest

from tradingbot_gateway.answers import Answer
from tradingbot_gateway.coinbase.calls import STREAM_PATHS, find, why_refused
from tradingbot_gateway.coinbase.dispatch import Dispatch
from tradingbot_gateway.coinbase.refusals import RefusalError
from tradingbot_gateway.coinbase.websockets import WebSockets

_LONGEST_BODY = 64 * 1024
_LONGEST_SHOWN = 100


def application(
    dispatch: Dispatch, sockets: WebSockets, *, headers: Mapping[str, str]
) -> web.Application:
    """Return the application. `headers` are added to each answer over REST."""

    async def rest(request: web.Request) -> web.Response:
        answer = await _answer(dispatch, request)
        return web.Response(
            status=answer.status, body=answer.body, headers={**answer.headers, **headers}
        )

    async def root(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return await rest(request)
        return await sockets.handle(request)

    async def shut_down(_: web.Application) -> None:
        await sockets.shut_down()

    app = web.Application(client_max_size=_LONGEST_BODY)
    for path in STREAM_PATHS:
        app.router.add_get(path, root, allow_head=False)
    app.router.add_route("*", "/{path:.*}", rest)
    app.on_shutdown.append(shut_down)
    return app


async def _answer(dispatch: Dispatch, request: web.Request) -> Answer:
    # The path as it was sent: another spelling of an allowed path is not that path.
    path, _, query = request.raw_path.partition("?")
    call = find(request.method, path)
    if call is None:
        what = f"{request.method} {path[:_LONGEST_SHOWN]}"
        return dispatch.refuse(what, RefusalError(what, why_refused(request.method, path)))
    body = await read_body(request) if request.can_read_body else b""
    signed = SignedRequest(
        method=request.method,
        host=request.host,
        path=path,
        query=query,
        body=body.decode(errors="replace"),
        authorization=request.headers.get("Authorization"),
    )
    return await dispatch.answer(call, signed, body)
