"""Put the gateway of one Binance account together."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from tradingbot_api.tradingbot import Mode
from tradingbot_exchange.binance.errors import ApiError

from tradingbot_gateway.answers import ServerClock, Wall
from tradingbot_gateway.assembled import Assembled
from tradingbot_gateway.binance.account import Account
from tradingbot_gateway.binance.addresses import Addresses, addresses
from tradingbot_gateway.binance.app import application
from tradingbot_gateway.binance.budget import Budget
from tradingbot_gateway.binance.dispatch import Dispatch
from tradingbot_gateway.binance.feed import Feed
from tradingbot_gateway.binance.instruments import Instruments, name_of
from tradingbot_gateway.binance.market_streams import MarketStreams
from tradingbot_gateway.binance.proof import Gatekeeper
from tradingbot_gateway.binance.queries import Queries
from tradingbot_gateway.binance.trading import Trading
from tradingbot_gateway.binance.translation import Tag
from tradingbot_gateway.binance.upstream import Upstream
from tradingbot_gateway.binance.user_stream import UserStream
from tradingbot_gateway.binance.websocket_api import WebSocketApi
from tradingbot_gateway.connection import open_session
from tradingbot_gateway.credentials import Credentials
from tradingbot_gateway.errors import SettingError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.markets import Markets
from tradingbot_gateway.paper_start import SIMULATED, load, paper_side
from tradingbot_gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from tradingbot_gateway.paper import PaperVenue

_NO_KEY = Credentials("", "")


@dataclass(frozen=True, slots=True)
class _AccountSide:
    """Where the account is: the exchange, or the one inside the gateway."""

    session: aiohttp.ClientSession
    addresses: Addresses
    credentials: Credentials
    venue: "PaperVenue | None" = None


class Binance(Assembled):
    """One gateway in Binance's dialect."""

    def __init__(
        self,
        gate: Gate,
        settings: GatewaySettings,
        *,
        session: aiohttp.ClientSession,
        market: Upstream,
        streams: str,
        instruments: Instruments,
        side: _AccountSide,
    ) -> None:
        self.tls: ssl.SSLContext | None = None
        """How the bot connects: without TLS."""
        self._gate = gate
        self._venue = side.venue
        wall = gate.wall
        tag = Tag.of(gate.config.namespace, gate.config.name)
        self._clock = ServerClock(wall)
        upstream = Upstream(side.session, side.addresses.rest, side.credentials, self._clock)
        self._upstream = upstream
        self._feed = Feed(session, streams, market, wall=wall, on_depth=self._quoted)
        budget = Budget(self._clock.now)
        self._markets = Markets(
            gate,
            instruments,
            self._feed,
            unknown=ApiError,
            before_reading=budget.reads_symbol,
            name=name_of,
        )
        queries = Queries(gate, upstream, market, self._markets, tag)
        trading = Trading(gate, upstream, self._markets, queries, tag)
        self._account = Account(
            gate,
            upstream,
            markets=self._markets,
            queries=queries,
            trading=trading,
            tag=tag,
            symbols=map(name_of, gate.limits.allowed_symbols or ()),
        )
        self._may_withdraw = queries.may_withdraw
        self._user_stream = UserStream(
            side.session, side.addresses.websocket_api, side.credentials, self._clock
        )
        placeholder = Credentials(
            settings.placeholder_key, settings.placeholder_secret.get_secret_value()
        )
        gatekeeper = Gatekeeper(placeholder, self._clock)
        dispatch = Dispatch(
            gate,
            gatekeeper,
            account=self._account,
            trading=trading,
            upstream=upstream,
            market=market,
            budget=budget,
        )
        self._application = application(
            dispatch,
            MarketStreams(session, streams, budget),
            WebSocketApi(dispatch, gatekeeper, self._account, wall),
            headers={} if self._venue is None else SIMULATED,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, gate: Gate, settings: GatewaySettings, credentials: Credentials | None, *, wall: Wall
    ) -> "AsyncIterator[Binance]":
        """Yield a gateway, and close its connections at the end. Raises GatewayError."""
        where = addresses(gate.config.exchange.base_url)
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(open_session(settings.egress()))
            market = Upstream(session, where.rest, _NO_KEY, ServerClock(wall))
            instruments = Instruments(market)
            if gate.config.mode is Mode.PAPER:
                await load(instruments, gate.limits, name_of)
                side = await _paper_side(stack, instruments, gate, settings.state)
            elif credentials is None:
                raise SettingError("mode Live needs the exchange's keys")
            else:
                side = _AccountSide(session, where, credentials)
            yield cls(
                gate,
                settings,
                session=session,
                market=market,
                streams=where.streams,
                instruments=instruments,
                side=side,
            )

    def application(self) -> web.Application:
        """Return what the bot connects to."""
        return self._application


async def _paper_side(
    stack: AsyncExitStack, instruments: Instruments, gate: Gate, state: Path | None
) -> _AccountSide:
    # Imported here: only Paper needs a whole exchange.
    from tradingbot_gateway.binance.paper import paper_application, paper_venue  # noqa: PLC0415

    session, url, credentials, venue = await paper_side(
        stack, instruments.known(), gate, state, venue=paper_venue, application=paper_application
    )
    return _AccountSide(session, addresses(url), credentials, venue)
