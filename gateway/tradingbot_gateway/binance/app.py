"""What the bot connects to: Binance's REST, market streams and WebSocket API, on one port."""

from collections.abc import Mapping

from aiohttp import web
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.framing import read_request
from tradingbot_exchange.bodies import read_body

from tradingbot_gateway.answers import Answer
from tradingbot_gateway.binance.calls import BY_PATH
from tradingbot_gateway.binance.dispatch import Dispatch
from tradingbot_gateway.binance.market_streams import MarketStreams
from tradingbot_gateway.binance.refusals import not_allowed
from tradingbot_gateway.binance.websocket_api import WebSocketApi

_LONGEST_BODY = 64 * 1024
_LONGEST_SHOWN = 100


def application(
    dispatch: Dispatch,
    streams: MarketStreams,
    websocket_api: WebSocketApi,
    *,
    headers: Mapping[str, str],
) -> web.Application:
    """Return the application. `headers` are added to each answer over REST."""

    async def rest(request: web.Request) -> web.Response:
        return _response(await _answer(dispatch, request), headers)

    async def shut_down(_: web.Application) -> None:
        await streams.shut_down()
        await websocket_api.shut_down()

    app = web.Application(client_max_size=_LONGEST_BODY)
    for path in ("/ws", "/ws/", "/ws/{streams:.+}", "/stream"):
        app.router.add_get(path, streams.handle)
    app.router.add_get("/ws-api/v3", websocket_api.handle)
    app.router.add_route("*", "/{path:.*}", rest)
    app.on_shutdown.append(shut_down)
    return app


async def _answer(dispatch: Dispatch, request: web.Request) -> Answer:
    # The path as it was sent: another spelling of an allowed path is not that path.
    path, _, query = request.raw_path.partition("?")
    call = BY_PATH.get((request.method, path))
    if call is None:
        what = f"{request.method} {path[:_LONGEST_SHOWN]}"
        return dispatch.refuse(what, not_allowed(what))
    body = await read_body(request) if request.can_read_body else b""
    try:
        encoded = query.encode("utf-8", "surrogateescape")
        sent, proof = read_request(request.headers, encoded, body)
    except ApiError as error:
        return dispatch.refusal(error)
    return await dispatch.answer(call, sent, proof, query)


def _response(answer: Answer, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        status=answer.status, body=answer.body, headers={**answer.headers, **headers}
    )
