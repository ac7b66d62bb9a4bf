"""The application of the Binance dialect: REST, market streams and the WebSocket API."""

from aiohttp import web

from tradingbot_exchange.binance.fault_errors import BinanceFaultErrors
from tradingbot_exchange.binance.handlers import HANDLERS
from tradingbot_exchange.binance.market_streams import MarketStreams
from tradingbot_exchange.binance.rest import not_found, routes
from tradingbot_exchange.binance.spot import Settings, Spot
from tradingbot_exchange.binance.user_stream import UserStreams
from tradingbot_exchange.binance.ws_api import WebSocketApi
from tradingbot_exchange.bodies import MAX_BODY
from tradingbot_exchange.faults.errors import FAULT_ERRORS
from tradingbot_exchange.venue import Venue


def application(venue: Venue, settings: Settings | None = None) -> web.Application:
    """Return an application that serves the venue as Binance spot."""
    spot = Spot(venue, HANDLERS, settings)
    streams = MarketStreams(spot)
    websocket_api = WebSocketApi(spot, UserStreams(spot))
    app = web.Application(client_max_size=MAX_BODY)
    app[FAULT_ERRORS] = BinanceFaultErrors()
    app.add_routes(routes(spot))
    for path in ("/ws", "/ws/", "/ws/{streams:.+}"):
        app.router.add_get(path, streams.raw)
    app.router.add_get("/stream", streams.combined)
    app.router.add_get("/ws-api/v3", websocket_api.handle)

    app.router.add_route("*", "/{path:.*}", not_found)

    async def start(_: web.Application) -> None:
        streams.start()

    async def shut_down(_: web.Application) -> None:
        await streams.shut_down()
        await websocket_api.shut_down()

    app.on_startup.append(start)
    app.on_shutdown.append(shut_down)
    return app
