"""What Paper needs at the start of a gateway: the instruments, and a port for its exchange.

`paper` has the exchange itself. It is imported in Paper alone, which needs a whole exchange.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import aiohttp
from aiohttp import web
from tradingbot_api.enforcement import paper_balance_of
from tradingbot_exchange.engine.types import Instrument

from tradingbot_gateway.connection import open_session
from tradingbot_gateway.errors import UnreachableError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.risk.limits import Limits
from tradingbot_gateway.settings import Egress

if TYPE_CHECKING:
    from tradingbot_gateway.paper import PaperVenue

log = logging.getLogger(__name__)

Key = TypeVar("Key")

SIMULATED = {"X-Tradingbot-Simulated": "true"}
"""Added to each answer in Paper: there is no money behind it."""

_START_SECONDS = 30.0
_PAUSE_SECONDS = 1.0
_LOOPBACK = "127.0.0.1"


class Instruments(Protocol):
    """What the exchange trades, by its own names."""

    async def load(self, names: Iterable[str]) -> None:
        """Read instruments. Raises UnreachableError."""

    async def load_all(self, quote_asset: str) -> None:
        """Read all instruments of a quote asset. Raises UnreachableError."""


async def load(instruments: Instruments, limits: Limits, name: Callable[[str], str]) -> None:
    """Read all instruments that Paper may trade: its exchange has to know them at the start.

    `name` returns the exchange's name of a core's symbol. Raises UnreachableError.
    """
    deadline = asyncio.get_running_loop().time() + _START_SECONDS
    while True:
        try:
            if limits.allowed_symbols is not None:
                await instruments.load(
                    sorted(map(name, _with_values(limits.allowed_symbols, limits.money)))
                )
            else:
                await instruments.load_all(limits.money)
        except UnreachableError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            log.warning("waiting for the exchange: %s", error)
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


def _with_values(symbols: Iterable[str], money: str) -> set[str]:
    """Return symbols, and those that value their quote assets."""
    named = set(symbols)
    quotes = {each.split("-")[1] for each in named} - {money}
    return named | {f"{quote}-{money}" for quote in quotes}


async def paper_side(
    stack: AsyncExitStack,
    known: Mapping[str, Instrument],
    gate: Gate,
    state: Path | None,
    *,
    venue: "Callable[..., tuple[PaperVenue, Key]]",
    application: "Callable[[PaperVenue], web.Application]",
) -> "tuple[aiohttp.ClientSession, str, Key, PaperVenue]":
    """Make the exchange of a Paper account. Return a session, its URL, its key and itself.

    `state`: the ledger's file. `venue` and `application` are the dialect's. Raises StateFileError.
    """
    made, key = venue(
        known,
        paper_balance_of(gate.config.exchange, gate.limits.money),
        wall=gate.wall,
        state=_beside(state),
    )
    session, url = await _serve(stack, application(made))
    return session, url, key, made


async def _serve(
    stack: AsyncExitStack, application: web.Application
) -> tuple[aiohttp.ClientSession, str]:
    """Serve Paper's exchange to this process until the stack closes. Return a session, and the URL.

    The session has no proxy: the way is to the own process.
    """
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, _LOOPBACK, 0).start()
    session = await stack.enter_async_context(open_session(Egress()))
    return session, f"http://{_LOOPBACK}:{runner.addresses[0][1]}"


def _beside(state: Path | None) -> Path | None:
    """Return the file of Paper's account, beside that of the ledger."""
    return None if state is None else state.with_name(state.name + ".paper")
