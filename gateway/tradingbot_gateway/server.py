"""`tradingbot gateway`: reconcile with the exchange, then serve the bot until SIGTERM or SIGINT."""

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, closing, contextmanager, suppress
from typing import Protocol

import uvloop
from aiohttp import web
from tradingbot_api.contract import BotConfig
from tradingbot_exchange.market.symbols import DialectName
from tradingbot_process.listening import listen

from tradingbot_gateway.answers import Wall
from tradingbot_gateway.configuration import ConfigFile
from tradingbot_gateway.credentials import Credentials, read_credentials
from tradingbot_gateway.drop_copy import DropCopy
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.grants import GRANTED, GrantFile, Permission
from tradingbot_gateway.journal import Journal
from tradingbot_gateway.metrics import Metrics
from tradingbot_gateway.serving import BOT_CONNECTIONS, REPORT_CONNECTIONS, Listener
from tradingbot_gateway.settings import GatewaySettings, address

log = logging.getLogger(__name__)

_CONFIG_SECONDS = 0.25
_GRANT_SECONDS = 0.1
_CANCEL_TURNS, _TURN_SECONDS = 100, 0.05
"""How often, and after which pauses, the process looks whether its last cancels are confirmed."""

_END_SECONDS = 3.0
"""How long open connections have to end. Clients that do not read do not keep the process."""

STOPPED = "the gateway is being stopped"


def wall_clock() -> int:
    """Return the real time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def run(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises GatewayError if the gateway can't start."""
    config = ConfigFile(settings.config)
    credentials = _credentials(settings, paper=config.config.mode.value == "Paper")
    with _sockets(settings) as sockets, _journal(settings, config) as journal:
        uvloop.run(_Process(settings, config, credentials, journal, sockets).serve())
    log.info("gateway stopped")


def _credentials(settings: GatewaySettings, *, paper: bool) -> Credentials | None:
    """Return the exchange's keys. In Paper none are needed, and none are read."""
    if paper:
        return None
    return read_credentials(
        os.environ, key_file=settings.api_key_file, secret_file=settings.api_secret_file
    )


@contextmanager
def _sockets(settings: GatewaySettings) -> Iterator[tuple[socket.socket, ...]]:
    """Yield the listening sockets: of the bot, of reports, of the preStop hook."""
    names = ("listen", "report_listen", "drain_listen")
    opened: list[socket.socket] = []
    try:
        for name in names:
            host, port = address(getattr(settings, name))
            opened.append(listen(host, port, setting="--" + name.replace("_", "-")))
        yield tuple(opened)
    finally:
        for sock in opened:
            sock.close()


@contextmanager
def _journal(settings: GatewaySettings, config: ConfigFile) -> Iterator[Journal | None]:
    if settings.state is None:
        yield None
        return
    bot = f"{config.config.namespace}/{config.config.name}"
    with closing(Journal(settings.state, bot=bot)) as journal:
        yield journal


class Exchange(Protocol):
    """A gateway in one of the dialects."""

    tls: ssl.SSLContext | None
    """How the bot connects."""

    def application(self) -> web.Application:
        """Return what the bot connects to."""

    async def run(self) -> None:
        """Follow the exchange for ever."""


class OpenExchange(Protocol):
    """Opens a gateway in one of the dialects."""

    def __call__(
        self, gate: Gate, settings: GatewaySettings, credentials: Credentials | None, *, wall: Wall
    ) -> AbstractAsyncContextManager[Exchange]:
        """Yield the gateway. Raises GatewayError."""


def _dialect(name: DialectName) -> OpenExchange:
    # Imported here: a gateway needs one of the dialects.
    if name is DialectName.COINBASE:
        from tradingbot_gateway.coinbase.assembly import Coinbase  # noqa: PLC0415

        return Coinbase.open
    from tradingbot_gateway.binance.assembly import Binance  # noqa: PLC0415

    return Binance.open


class _Process:
    """The parts of one gateway, from start to end."""

    def __init__(
        self,
        settings: GatewaySettings,
        config: ConfigFile,
        credentials: Credentials | None,
        journal: Journal | None,
        sockets: Sequence[socket.socket],
    ) -> None:
        self._settings = settings
        self._config = config
        path = settings.grant_file
        self._grant = None if path is None else GrantFile(path, settings.pod_uid)
        self._credentials = credentials
        self._journal = journal
        self._sockets = sockets

    async def serve(self) -> None:
        """Serve until a signal comes or a part fails."""
        from tradingbot_gateway.reports import (  # noqa: PLC0415
            drain_application,
            report_application,
        )

        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        gate = self._gate()
        open_exchange = _dialect(self._settings.dialect)
        async with open_exchange(
            gate, self._settings, self._credentials, wall=wall_clock
        ) as exchange:
            bot_socket, report_socket, drain_socket = self._sockets
            listeners = [
                await Listener.start(
                    exchange.application(), bot_socket, tls=exchange.tls, most=BOT_CONNECTIONS
                )
            ]
            # Others reach these two as well, and none may keep the kubelet out.
            for app, sock in (
                (report_application(gate), report_socket),
                (drain_application(gate), drain_socket),
            ):
                listeners.append(
                    await Listener.start(app, sock, most=REPORT_CONNECTIONS, oldest_goes=True)
                )
            self._say(gate, secure=exchange.tls is not None)
            parts = [
                asyncio.create_task(exchange.run()),
                asyncio.create_task(self._follow_config(gate)),
                asyncio.create_task(self._follow_grant(gate)),
                asyncio.create_task(gate.failed.wait()),
                asyncio.create_task(stop.wait()),
            ]
            try:
                done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
                if gate.failure is not None:
                    raise gate.failure
                for part in done:
                    part.result()  # raises what has ended it
                gate.terminate(STOPPED)
                await self._until_canceled(gate)
            finally:
                for part in parts:
                    part.cancel()
                await asyncio.gather(*parts, return_exceptions=True)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_END_SECONDS):
                        await asyncio.gather(*(each.close() for each in listeners))

    def _gate(self) -> Gate:
        config = self._config.config
        return Gate(
            config,
            journal=self._journal,
            drop_copy=DropCopy(_write_line, bot=f"{config.namespace}/{config.name}"),
            metrics=Metrics(),
            wall=wall_clock,
            authority=_always if self._grant is None else self._grant.permission,
        )

    async def _follow_config(self, gate: Gate) -> None:
        while True:
            await asyncio.sleep(_CONFIG_SECONDS)
            config = self._config.changed()
            if config is not None:
                gate.configured(config)
                log.info("applied another bot.json", extra={"config_hash": config.config_hash})

    async def _follow_grant(self, gate: Gate) -> None:
        while True:
            await asyncio.sleep(_GRANT_SECONDS)
            if self._grant is not None:
                self._grant.refresh()
            gate.check_grant()

    async def _until_canceled(self, gate: Gate) -> None:
        """Wait until the exchange has confirmed the end of all entry orders, but not for long."""
        for _ in range(_CANCEL_TURNS):
            if not gate.has_open_entries():
                return
            await asyncio.sleep(_TURN_SECONDS)

    def _say(self, gate: Gate, *, secure: bool) -> None:
        """Log where the gateway is, and for whom."""
        names = ("url", "report_url", "drain_url")
        urls = dict(zip(names, map(_url, self._sockets), strict=True))
        if secure:
            urls["url"] = urls["url"].replace("http://", "https://", 1)
        config = gate.config
        log.info(
            "gateway of %s/%s listens on %s, reports on %s",
            config.namespace,
            config.name,
            urls["url"],
            urls["report_url"],
            extra={
                **urls,
                "mode": config.mode.value,
                "state": str(self._settings.state or "in memory"),
            },
        )
        sys.stderr.flush()


def _always(_: BotConfig) -> Permission:
    """Return the right of a gateway without an operator."""
    return GRANTED


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _write_line(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
