"""Coinbase Advanced as a web application: REST and WebSockets on one port."""

from aiohttp import web

from tradingbot_exchange.bodies import MAX_BODY
from tradingbot_exchange.coinbase.fault_errors import CoinbaseFaultErrors
from tradingbot_exchange.coinbase.feed import Feeds
from tradingbot_exchange.coinbase.orders import Orders
from tradingbot_exchange.coinbase.rate_limits import PRIVATE_PER_SECOND
from tradingbot_exchange.coinbase.rest import Rest, exchange_errors
from tradingbot_exchange.faults.errors import FAULT_ERRORS
from tradingbot_exchange.venue import Venue

SUBSCRIBE_WITHIN_S = 5.0


def application(
    venue: Venue,
    *,
    subscribe_within_s: float = SUBSCRIBE_WITHIN_S,
    private_per_second: int = PRIVATE_PER_SECOND,
) -> web.Application:
    """Return the application of a venue. `private_per_second`: requests of a key.

    REST is at the paths of `calls.CALLS`, and the WebSocket of market and user channels at `/` and
    `/ws`. A WebSocket that subscribes to nothing is closed after `subscribe_within_s` seconds.
    """
    orders = Orders(venue)
    feeds = Feeds(venue, orders, subscribe_within_s=subscribe_within_s)
    app = web.Application(middlewares=[exchange_errors], client_max_size=MAX_BODY)
    app[FAULT_ERRORS] = CoinbaseFaultErrors()
    Rest(venue, orders, private_per_second=private_per_second).add_routes(app)
    app.add_routes([web.get(path, feeds.handle, allow_head=False) for path in ("/", "/ws")])
    return app
