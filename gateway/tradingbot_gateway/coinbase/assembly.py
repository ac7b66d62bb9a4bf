"""Put the gateway of one Coinbase account together."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from tradingbot_api.tradingbot import Mode
from tradingbot_exchange.coinbase.engine_orders import BRACKET_SLIPPAGE

from tradingbot_gateway.answers import ServerClock, Wall
from tradingbot_gateway.assembled import Assembled
from tradingbot_gateway.coinbase.account import Account
from tradingbot_gateway.coinbase.addresses import Addresses, addresses
from tradingbot_gateway.coinbase.app import application
from tradingbot_gateway.coinbase.dispatch import Dispatch
from tradingbot_gateway.coinbase.feed import Feed
from tradingbot_gateway.coinbase.handover import Handover, hand_over
from tradingbot_gateway.coinbase.instruments import Instruments
from tradingbot_gateway.coinbase.proof import Gatekeeper
from tradingbot_gateway.coinbase.queries import Queries
from tradingbot_gateway.coinbase.rates import BotRates
from tradingbot_gateway.coinbase.refusals import UnknownProductError
from tradingbot_gateway.coinbase.trading import Trading
from tradingbot_gateway.coinbase.translation import Tag
from tradingbot_gateway.coinbase.upstream import Signer, Upstream
from tradingbot_gateway.coinbase.user_stream import UserStream
from tradingbot_gateway.coinbase.websockets import WebSockets
from tradingbot_gateway.connection import open_session
from tradingbot_gateway.credentials import Credentials
from tradingbot_gateway.errors import SettingError
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.markets import Markets
from tradingbot_gateway.paper_start import SIMULATED, load, paper_side
from tradingbot_gateway.risk.day import as_instant
from tradingbot_gateway.settings import GatewaySettings, address

if TYPE_CHECKING:
    from tradingbot_gateway.paper import PaperVenue


@dataclass(frozen=True, slots=True)
class _AccountSide:
    """Where the account is: the exchange, or the one inside the gateway."""

    session: aiohttp.ClientSession
    where: Addresses
    signer: Signer
    venue: "PaperVenue | None" = None


class Coinbase(Assembled):
    """One gateway in Coinbase's dialect."""

    def __init__(
        self,
        gate: Gate,
        *,
        session: aiohttp.ClientSession,
        where: Addresses,
        market: Upstream,
        instruments: Instruments,
        side: _AccountSide,
        handover: Handover,
    ) -> None:
        wall = gate.wall
        tag = Tag.of(gate.config.namespace, gate.config.name)
        clock = ServerClock(wall)
        upstream = Upstream(side.session, side.where, side.signer, clock)
        self._upstream = upstream
        self._gate = gate
        self._venue = side.venue
        rates = BotRates(wall)
        self._feed = Feed(
            session,
            where.market,
            market,
            wall=wall,
            on_depth=self._quoted,
            book_of=instruments.book_of,
        )
        self._markets = Markets(
            gate,
            instruments,
            self._feed,
            unknown=UnknownProductError,
            before_reading=rates.public.wait_briefly,
            stop_slippage=BRACKET_SLIPPAGE,
        )
        queries = Queries(gate, upstream, market, self._markets, tag, book_of=instruments.book_of)
        trading = Trading(gate, upstream, self._markets, queries, tag=tag, rates=rates)
        self._account = Account(
            gate, upstream, markets=self._markets, queries=queries, trading=trading
        )
        self._may_withdraw = queries.may_withdraw
        self._user_stream = UserStream(side.session, side.where.user, upstream)
        gatekeeper = Gatekeeper(handover, clock)
        dispatch = Dispatch(
            gate,
            gatekeeper,
            account=self._account,
            queries=queries,
            trading=trading,
            tag=tag,
            upstream=upstream,
            market=market,
            rates=rates,
            quoted=None if side.venue is None else self._markets.for_order,
        )
        sockets = WebSockets(
            session,
            where.market,
            gatekeeper,
            self._account,
            tag=tag,
            wall=wall,
            rates=rates,
            book_of=instruments.book_of,
        )
        self._application = application(
            dispatch, sockets, headers={} if side.venue is None else SIMULATED
        )
        self.tls: ssl.SSLContext | None = handover.tls

    @classmethod
    @asynccontextmanager
    async def open(
        cls, gate: Gate, settings: GatewaySettings, credentials: Credentials | None, *, wall: Wall
    ) -> "AsyncIterator[Coinbase]":
        """Yield a gateway, and close its connections at the end. Raises GatewayError."""
        if settings.handover is None:
            raise SettingError("--dialect coinbase needs --handover DIRECTORY, shared with the bot")
        where = addresses(gate.config.exchange.base_url)
        paper = gate.config.mode is Mode.PAPER
        if not paper and credentials is None:
            raise SettingError("mode Live needs the exchange's keys")
        signer = None if paper or credentials is None else Signer.of(credentials)
        host, _ = address(settings.listen)
        state = settings.state
        kept = None if state is None else state.with_name(state.name + ".handover")
        handover = hand_over(settings.handover, host, now=as_instant(wall()), kept=kept)
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(open_session(settings.egress()))
            market = Upstream(session, where, signer, ServerClock(wall))
            instruments = Instruments(market)
            if signer is None:
                await load(instruments, gate.limits, str)
                side = await _paper_side(stack, instruments, gate, settings.state)
            else:
                side = _AccountSide(session, where, signer)
            yield cls(
                gate,
                session=session,
                where=where,
                market=market,
                instruments=instruments,
                side=side,
                handover=handover,
            )

    def application(self) -> web.Application:
        """Return what the bot connects to."""
        return self._application


async def _paper_side(
    stack: AsyncExitStack, instruments: Instruments, gate: Gate, state: Path | None
) -> _AccountSide:
    # Imported here: only Paper needs a whole exchange.
    from tradingbot_gateway.coinbase.paper import paper_application, paper_venue  # noqa: PLC0415

    session, url, signer, venue = await paper_side(
        stack, instruments.known(), gate, state, venue=paper_venue, application=paper_application
    )
    return _AccountSide(session, addresses(url), signer, venue)
