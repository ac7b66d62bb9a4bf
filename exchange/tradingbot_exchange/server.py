"""`tradingbot exchange`: take the ports, then serve until SIGTERM or SIGINT."""

import asyncio
import logging
import secrets
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib import import_module

import uvloop
from aiohttp import web
from tradingbot_process.listening import BACKLOG, base_url, is_loopback_only, listen

from tradingbot_exchange.assembly import Choices, simulated_venue
from tradingbot_exchange.connections import (
    HANDSHAKE_SECONDS,
    IDLE_SECONDS,
    Connections,
    allow_files,
    http_log,
)
from tradingbot_exchange.control.app import control_app
from tradingbot_exchange.errors import CertificateError, SettingError
from tradingbot_exchange.faults.middleware import FaultMiddleware
from tradingbot_exchange.faults.requests import REQUEST_FAULTS, RequestFaults
from tradingbot_exchange.faults.stream_faults import OpenStreams
from tradingbot_exchange.keys import api_keys, keys_text, make_keys, read_keys, write_keys
from tradingbot_exchange.market.replay import parse_time
from tradingbot_exchange.outbox import OUTBOXES, Outboxes
from tradingbot_exchange.settings import ExchangeSettings
from tradingbot_exchange.simulated import SimulatedVenue
from tradingbot_exchange.stored import StoredVenue, stored_seed
from tradingbot_exchange.streams import STREAM_CONTROL
from tradingbot_exchange.venue import ApiKey, Venue

log = logging.getLogger(__name__)

SIMULATED_HEADER = "X-Tradingbot-Simulated"
_CONTROL_HOST = "127.0.0.1"
_TICK_SECONDS = 0.25
_SHUTDOWN_SECONDS = 0.3
_SEEDS = 1_000_000

Application = Callable[[Venue], web.Application]


def run(settings: ExchangeSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ExchangeError if the exchange can't start."""
    tls = _tls(settings)
    application = _application(settings)
    keys, made = _keys(settings)
    allow_files()
    with (
        closing(listen(settings.host, settings.port, setting="--port")) as public,
        closing(listen(_CONTROL_HOST, settings.control_port, setting="--control-port")) as control,
        # The state last: an exchange that can't start must not create or change it.
        _venue(settings, keys) as (venue, maintain, seed),
    ):
        _say(settings, public, control, venue, seed)
        if made:
            print(made, end="", flush=True)
        serving = serve(
            application(venue), venue, maintain=maintain, public=public, control=control, tls=tls
        )
        uvloop.run(serving)
        log.info("exchange stopped")


async def serve(
    app: web.Application,
    venue: SimulatedVenue,
    *,
    maintain: Callable[[], None],
    public: socket.socket,
    control: socket.socket,
    tls: ssl.SSLContext | None,
) -> None:
    """Serve the exchange and its control port on two listening sockets, until SIGTERM or SIGINT."""
    streams = OpenStreams(venue.board, venue.clock.now)
    venue.cut_streams = streams.cut
    app[STREAM_CONTROL] = streams
    app[OUTBOXES] = Outboxes()
    app[REQUEST_FAULTS] = faults = RequestFaults(venue.board, venue.clock.now)
    app.middlewares.insert(0, FaultMiddleware(faults))
    connections = Connections()
    app.middlewares.insert(0, connections)
    app.on_response_prepare.append(_say_simulated)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=http_log,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
    )
    of_control = web.AppRunner(
        control_app(venue), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    for each in (runner, of_control):
        await each.setup()
    server = runner.server
    if server is None:
        raise RuntimeError("the runner was set up and has no server")
    listening = await loop.create_server(
        lambda: connections.make(server),
        sock=public,
        ssl=tls,
        ssl_handshake_timeout=None if tls is None else HANDSHAKE_SECONDS,
        backlog=BACKLOG,
    )
    site = web.SockSite(of_control, control, backlog=BACKLOG)
    await site.start()
    market = asyncio.create_task(_follow_market(venue, maintain))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([market, stopping], return_when=asyncio.FIRST_COMPLETED)
    listening.close()
    await site.stop()
    # A dialect says goodbye in its own words before the streams are closed. `cleanup` shuts it down
    # a second time, which finds nothing left to do.
    await runner.shutdown()
    await streams.close()
    for each in (runner, of_control):
        await each.cleanup()
    stopping.cancel()
    market.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    with suppress(asyncio.CancelledError):
        await market  # raises what has ended it


async def _say_simulated(_: web.Request, response: web.StreamResponse) -> None:
    """Mark an answer, so that a bot in Paper knows that there is no money at this exchange."""
    response.headers[SIMULATED_HEADER] = "true"


async def _follow_market(venue: SimulatedVenue, maintain: Callable[[], None]) -> None:
    """Let the market go on while nobody asks."""
    while True:
        venue.advance()
        maintain()
        await asyncio.sleep(_TICK_SECONDS)


@contextmanager
def _venue(
    settings: ExchangeSettings, keys: Sequence[ApiKey]
) -> Iterator[tuple[SimulatedVenue, Callable[[], None], int]]:
    """Yield the exchange, what to call now and then, and the seed."""
    seed = settings.seed
    if seed is None and settings.state is not None:
        seed = stored_seed(settings.state)
    if seed is None:
        seed = secrets.randbelow(_SEEDS)
    choices = Choices(
        dialect=settings.dialect,
        seed=seed,
        speed=settings.speed,
        market_file=settings.market,
        market_start=_market_start(settings),
        scenario=settings.scenario,
        balances=settings.balances(),
        aliases=settings.aliases,
    )
    if settings.state is None:
        yield simulated_venue(choices, keys=keys), lambda: None, seed
        return
    stored = StoredVenue(settings.state, choices, keys=keys)
    with closing(stored):
        yield stored.venue, stored.maintain, seed


def _market_start(settings: ExchangeSettings) -> int | None:
    if settings.market_start is None:
        return None
    try:
        return parse_time(settings.market_start)
    except ValueError as error:
        raise SettingError(f"--market-start: {error}") from error


def _application(settings: ExchangeSettings) -> Application:
    # Imported here: an exchange needs one of the dialects.
    module = import_module(f"tradingbot_exchange.{settings.dialect.value}.app")
    application: Application = module.application
    return application


def _keys(settings: ExchangeSettings) -> tuple[Sequence[ApiKey], str]:
    """Return the keys, and the text to print if they were made and are in no file."""
    path = settings.keys
    if path is None:
        made = make_keys(settings.dialect, settings.account)
        head = "# API keys of this exchange, shown once. --keys FILE keeps them.\n"
        return api_keys(made), head + keys_text(made)
    if not path.exists():
        write_keys(path, make_keys(settings.dialect, settings.account))
        log.info("made API keys", extra={"file": str(path)})
    return read_keys(path), ""


def _tls(settings: ExchangeSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise CertificateError(
            f"{settings.tls_cert} and {settings.tls_key} can't be used as certificate and key:"
            f" {reason}"
        ) from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")  # OpenSSL would ask for a password on the terminal


def _say(
    settings: ExchangeSettings,
    public: socket.socket,
    control: socket.socket,
    venue: SimulatedVenue,
    seed: int,
) -> None:
    """Log where the exchange is and what it simulates."""
    url = base_url(public, tls=settings.tls_cert is not None)
    control_url = base_url(control, tls=False)
    if not is_loopback_only(settings.host):
        log.warning("the exchange can be reached from other machines: %s", url)
    log.info(
        "simulated %s listens on %s, its control port on %s",
        settings.dialect.value,
        url,
        control_url,
        extra={
            "url": url,
            "control_url": control_url,
            "dialect": settings.dialect.value,
            "seed": seed,
            "speed": str(settings.speed),
            "market": str(settings.market or "generated"),
            "symbols": list(venue.market.symbols),
            "state": str(settings.state or "in memory"),
        },
    )
    sys.stderr.flush()
