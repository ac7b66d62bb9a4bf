"""A simulated Binance for the benchmark: the real server, without rate limits.

Run as a module. The API key and the sockets' ports come from the command line.
"""

import sys

import uvloop
from tradingbot_exchange.assembly import Choices, simulated_venue
from tradingbot_exchange.binance.app import application
from tradingbot_exchange.binance.limits import RateLimits
from tradingbot_exchange.binance.spot import Settings
from tradingbot_exchange.listening import listen
from tradingbot_exchange.market.symbols import DialectName
from tradingbot_exchange.server import serve
from tradingbot_exchange.venue import ApiKey

from bench.exchange.rest_orders import BALANCES, KEY, SECRET

_NO_LIMIT = 1_000_000_000


def main(port: int) -> None:
    """Serve on `port` until SIGTERM."""
    key = ApiKey(name=KEY, account="bench", secret=SECRET)
    choices = Choices(dialect=DialectName.BINANCE, seed=1, balances=BALANCES)
    venue = simulated_venue(choices, keys=[key])
    limits = RateLimits(
        weight=_NO_LIMIT,
        raw_requests=_NO_LIMIT,
        orders_10s=_NO_LIMIT,
        orders_day=_NO_LIMIT,
    )
    uvloop.run(
        serve(
            application(venue, Settings(limits=limits)),
            venue,
            maintain=lambda: None,
            public=listen("127.0.0.1", port, setting="the port"),
            control=listen("127.0.0.1", 0, setting="the control port"),
            tls=None,
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
