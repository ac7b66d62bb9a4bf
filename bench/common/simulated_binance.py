"""A simulated Binance for the benchmark: the real server, without rate limits.

Run as a module. The API key and the sockets' ports come from the command line.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import uvloop
from tradingbot_exchange.assembly import Choices, simulated_venue
from tradingbot_exchange.binance.app import application
from tradingbot_exchange.binance.limits import RateLimits
from tradingbot_exchange.binance.spot import Settings
from tradingbot_exchange.market.symbols import DialectName
from tradingbot_exchange.server import serve
from tradingbot_exchange.venue import ApiKey
from tradingbot_process.listening import listen

from bench.common.local_http import free_port, wait_for

KEY = "bench-key"
SECRET = "bench-secret"
BALANCES = {"BTC": Decimal(100_000_000), "USDT": Decimal(900_000_000)}
_NO_LIMIT = 1_000_000_000


@contextmanager
def simulated_binance(core: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield the port and the pid of a server, on a core or on all."""
    port = free_port()
    root = Path(__file__).resolve().parent.parent.parent
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.common.simulated_binance", str(port)],
        cwd=root,
        stderr=subprocess.DEVNULL,
    )
    try:
        if core is not None:
            os.sched_setaffinity(server.pid, {core})
        wait_for(port, "/api/v3/ping", server)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait()


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
