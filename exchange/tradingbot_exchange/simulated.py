"""A simulated exchange: engine, market, faults, clock and journal in one."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, Protocol

from tradingbot_exchange.clock import MarketClock
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    BalanceEvent,
    Event,
    NewOrder,
    OrderEvent,
    Trade,
    TradeEvent,
)
from tradingbot_exchange.faults.board import ACTIVE_FAULT, ActiveFault, FaultBoard
from tradingbot_exchange.faults.model import (
    Crash,
    CutStreams,
    Fault,
    Halt,
    MarketFault,
    PartialFills,
    Spike,
)
from tradingbot_exchange.faults.scenario import Calm, ScenarioStep
from tradingbot_exchange.market.candles import CandleHistory, Candles
from tradingbot_exchange.market.liquidity import PARTIES, partial_quote, quote_only
from tradingbot_exchange.market.market import Conditions, Market
from tradingbot_exchange.market.shocks import SHOCK, Shock
from tradingbot_exchange.recorded_engine import RecordedEngine
from tradingbot_exchange.venue import ApiKey, Candle, Listener

TRADES_KEPT = 5_000
"""Public trades in memory, for each symbol."""

MAX_STEPS = 16
"""Steps of the market in one `advance`. After a longer pause, they are further apart."""

WARM_UP_STEPS = 40
"""Steps before the start, so that there are books and trades at once."""


class Journal(Protocol):
    """Where changes are recorded before anybody hears of them."""

    def record(self, entry: dict[str, Any]) -> None:
        """Make `entry` durable."""


class UnknownSymbolError(LookupError):
    """A fault names a symbol that does not exist."""


class SimulatedVenue:
    """The Venue that a dialect sees, and what the control port changes."""

    def __init__(
        self,
        *,
        engine: RecordedEngine,
        market: Market,
        clock: MarketClock,
        keys: Mapping[str, ApiKey],
        scenario: Sequence[ScenarioStep] = (),
        journal: Journal | None = None,
    ) -> None:
        self.recorded_engine = engine
        self.market = market
        self.clock = clock
        self.board = FaultBoard()
        self.cut_streams: Callable[[str], None] = lambda _path: None
        """Cut the open streams whose path matches; set by the server."""
        self.step = -WARM_UP_STEPS - 1
        self._keys = dict(keys)
        self._scenario = sorted(scenario, key=lambda step: step.at)
        self._played = 0
        self._changed = True
        self._journal = journal
        self._listeners: list[Listener] = []
        self._resting: dict[str, int] = {}
        """By symbol, until when the market stands still after a partial fill."""
        self.trades_kept: dict[str, deque[Trade]] = {}
        self.candles_kept: dict[str, Candles] = {}
        for symbol in market.symbols:
            self.trades_kept[symbol] = deque(maxlen=TRADES_KEPT)
            history = CandleHistory(_past(market, symbol))
            self.candles_kept[symbol] = Candles(history, begin=market.begin)
        engine.before_order = self._fill_partly
        engine.recording = journal is not None

    # What a dialect sees

    @property
    def engine(self) -> Engine:
        """The engine. Change it through `apply` only."""
        return self.recorded_engine

    @property
    def keys(self) -> Mapping[str, ApiKey]:
        """By name."""
        return self._keys

    def now(self) -> int:
        """Return the exchange's time, in milliseconds since the epoch, with skew and speed."""
        return self.clock.now() + self.board.skew()

    def market_time(self) -> int:
        """Return the matching engine's time: with speed, but without skew."""
        return self.clock.now()

    def client_time(self) -> int:
        """Return what a client's clock should show: real time with skew, but without speed."""
        return self.clock.wall() + self.board.skew()

    def apply(self, change: Callable[[Engine, int], tuple[object, list[Event]]]) -> object:
        """Bring the market up to now, call `change(engine, now)`, record it, notify listeners.

        Returns the first value. RefusedError passes through.
        """
        self.advance()
        try:
            result, events = change(self.recorded_engine, self.clock.now())
        finally:
            early = self.recorded_engine.taken_events()
            # What was done before a refusal has happened, too.
            self._commit()
            self._keep(early)
        self._keep(events)
        self._notify(early + events)
        return result

    def advance(self) -> None:
        """Bring the market up to now. Call it before a query."""
        target = self.market.step_of(self.clock.now())
        pending = target - self.step
        if pending <= 0:
            return
        count = min(pending, MAX_STEPS)
        for number in range(1, count + 1):
            self._run_step(target - pending + pending * number // count)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the events of each change; the result ends that."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def candles(self, symbol: str, interval_ms: int, *, start: int, end: int) -> list[Candle]:
        """Return the candles that begin in [start, end], oldest first; the last one may be open.

        At most MAX_CANDLES. Raises RefusedError (UNKNOWN_SYMBOL).
        """
        self.engine.instrument(symbol)
        self.advance()
        return self.candles_kept[symbol].between(
            interval_ms, start=start, end=end, now=self.clock.now()
        )

    def trades(self, symbol: str, *, after_id: int = 0, limit: int = 1000) -> list[Trade]:
        """Return public trades with a higher id, or the newest ones if `after_id` is 0.

        The last TRADES_KEPT are known. Raises RefusedError (UNKNOWN_SYMBOL).
        """
        self.engine.instrument(symbol)
        self.advance()
        kept = self.trades_kept[symbol]
        if not after_id:
            return list(islice(kept, max(0, len(kept) - limit), None))
        return list(islice((trade for trade in kept if trade.id > after_id), limit))

    def credit(self, account: str, asset: str, amount: Decimal) -> None:
        """Deposit, or withdraw if negative. Raises RefusedError if less than that is free."""
        self.apply(lambda engine, now: (None, engine.deposit(account, asset, amount, now=now)))

    # Accounts

    def accounts(self) -> list[str]:
        """Return the names of the users' accounts."""
        return [name for name in self.recorded_engine.accounts() if name not in PARTIES]

    # Faults

    def add_fault(self, fault: Fault) -> ActiveFault:
        """Begin a fault. Raises UnknownSymbolError."""
        symbol: str | None = getattr(fault, "symbol", None)
        if symbol is not None and symbol not in self.market.symbols:
            known = ", ".join(self.market.symbols)
            raise UnknownSymbolError(f"no symbol {symbol!r}; supported: {known}")
        self.advance()
        active = self._begin(fault, now=self.clock.now())
        self._commit()
        return active

    def remove_fault(self, fault_id: str) -> ActiveFault:
        """End a fault; prices return. Raises UnknownFaultError."""
        self.advance()
        active = self.board.remove(fault_id)
        self._ended(active, now=self.clock.now())
        self._commit()
        return active

    def remove_all_faults(self) -> list[ActiveFault]:
        """End all faults."""
        self.advance()
        ended = self._calm(now=self.clock.now())
        self._commit()
        return ended

    def _begin(self, fault: Fault, *, now: int) -> ActiveFault:
        active = self.board.add(fault, now=now)
        self._changed = True
        if isinstance(fault, Crash | Spike):
            move = fault.percent if isinstance(fault, Spike) else -fault.percent
            end = {} if fault.hold is None else {"end": now + fault.over + fault.hold}
            shock = Shock(
                id=active.id, symbol=fault.symbol, percent=move, start=now, over=fault.over, **end
            )
            self.market.shocks.active.append(shock)
        elif isinstance(fault, Halt):
            self._apply_halts()
        elif isinstance(fault, CutStreams):
            self.cut_streams(fault.path)
            if fault.lasts is None:
                self.board.remove(active.id)
        return active

    def _calm(self, *, now: int) -> list[ActiveFault]:
        ended = list(self.board)
        for active in ended:
            self.board.remove(active.id)
            self._ended(active, now=now)
        return ended

    def _ended(self, active: ActiveFault, *, now: int) -> None:
        self._changed = True
        if isinstance(active.fault, Crash | Spike):
            self.market.shocks.end(active.id, now=now)
        elif isinstance(active.fault, Halt):
            self._apply_halts()
        elif isinstance(active.fault, PartialFills):
            self._resting.clear()

    def _apply_halts(self) -> None:
        for symbol in self.market.symbols:
            halted = self.board.halted(self.market.symbols[symbol].book)
            if halted != self.recorded_engine.is_halted(symbol):
                self.recorded_engine.halt(symbol, halted=halted)

    # The market

    def _run_step(self, step: int) -> None:
        now = self.market.time_of(step)
        engine = self.recorded_engine
        self._play_scenario(now)
        for active in self.board.expire(now=now):
            self._ended(active, now=now)
        for shock_id in self.market.shocks.forget_past(now):
            self.board.discard(shock_id)
            self._changed = True
        events = engine.expire(now=now)
        for symbol in self.market.symbols:
            events += self.market.run(engine, symbol, step, self._conditions(symbol, now))
        engine.taken_events()
        self.step = step
        self._commit()
        self._keep(events)
        self._notify(events)

    def _conditions(self, symbol: str, now: int) -> Conditions:
        thin = self.board.thin(self.market.symbols[symbol].book)
        still = now < self._resting.get(symbol, 0)
        return Conditions(still=still) if thin is None else Conditions(thin.percent, still)

    def _play_scenario(self, now: int) -> None:
        while self._played < len(self._scenario):
            step = self._scenario[self._played]
            if self.market.begin + step.at > now:
                return
            self._played += 1
            if isinstance(step.fault, Calm):
                self._calm(now=now)
            else:
                self._begin(step.fault, now=now)

    def _fill_partly(self, account: str, order: NewOrder, now: int) -> list[Event]:
        """Leave an order that would trade at once only a part of its quantity to trade with."""
        active = None if account in PARTIES else self.board.partial_fill(order.symbol, now=now)
        if active is None or not isinstance(active.fault, PartialFills):
            return []
        percent = active.fault.percent
        quote = partial_quote(self.recorded_engine, account, order, percent=percent)
        if quote is None:
            return []
        self.board.count(active)
        self._changed = True
        self._resting[order.symbol] = now + active.fault.rest
        return quote_only(self.recorded_engine, order.symbol, quote, now=now)

    # Records

    def _keep(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, TradeEvent):
                trade = event.trade
                self.trades_kept[trade.symbol].append(trade)
                if trade.time >= self.market.begin:
                    self.candles_kept[trade.symbol].recorded.add(trade)

    def _notify(self, events: list[Event]) -> None:
        if not events or not self._listeners:
            return
        shown = [event for event in events if not _is_private(event)]
        for listener in tuple(self._listeners) if shown else ():
            listener(shown)

    def _commit(self) -> None:
        calls = self.recorded_engine.taken_calls()
        if self._journal is None:
            return
        entry: dict[str, Any] = {"step": self.step, "calls": calls}
        if self._changed:
            self._changed = False
            entry["market"] = self.market_state()
        self._journal.record(entry)

    def market_state(self) -> dict[str, Any]:
        """Return what faults have done to the market, as JSON values."""
        return {
            "played": self._played,
            "resting": dict(self._resting),
            "shocks": [SHOCK.dump_python(s, mode="json") for s in self.market.shocks.active],
            "faults": [
                ACTIVE_FAULT.dump_python(active, mode="json", by_alias=True)
                for active in self.board
                if isinstance(active.fault, MarketFault)
            ],
        }

    def restore(self, *, step: int, market: dict[str, Any], events: Sequence[Event]) -> None:
        """Go on where an earlier process stood, after the `events` that it has seen."""
        self.step = step
        self._played = market["played"]
        self._resting = dict(market["resting"])
        self.market.shocks.active = [SHOCK.validate_python(s) for s in market["shocks"]]
        for active in market["faults"]:
            self.board.restore(ACTIVE_FAULT.validate_python(active))
        self._keep(events)


def _is_private(event: Event) -> bool:
    """Whether an event concerns only the market's own accounts."""
    if isinstance(event, OrderEvent):
        return event.order.account in PARTIES
    return isinstance(event, BalanceEvent) and event.account in PARTIES


def _past(market: Market, symbol: str) -> Callable[[int, int], Candle]:
    return lambda start, end: market.past_candle(symbol, start, end)
