"""The gateway's state and its decisions in one object, which a server drives."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from pydantic import TypeAdapter
from tradingbot_api.model import JsonObject
from tradingbot_api.trading_day import TradingDay, begin, trading_day

from tradingbot_gateway.risk import chores, own_orders
from tradingbot_gateway.risk.actions import Action, Cancel, Place
from tradingbot_gateway.risk.controls import Standing, figure
from tradingbot_gateway.risk.day import as_instant, as_milliseconds
from tradingbot_gateway.risk.decision import as_unit, decide
from tradingbot_gateway.risk.events import (
    CancelSent,
    DayBegan,
    End,
    Ended,
    Event,
    Filled,
    Halted,
    Priced,
    Sent,
    Valued,
)
from tradingbot_gateway.risk.figures import Figures, Prices, Unknown, figures, largest_value
from tradingbot_gateway.risk.ledger import Ledger
from tradingbot_gateway.risk.limits import Settings
from tradingbot_gateway.risk.protection import Close, Note, Protect, protect
from tradingbot_gateway.risk.standby import Standby
from tradingbot_gateway.risk.state import State
from tradingbot_gateway.risk.types import (
    MAX_AGE,
    Market,
    Purpose,
    Quote,
    Request,
    assets_of,
)
from tradingbot_gateway.risk.verdicts import Allowed, Release, Verdict

RELEASED = 5_000
"""Milliseconds for which released protection waits for the exit of the bot."""
_STATE: TypeAdapter[State] = TypeAdapter(State)
Decide = Callable[..., Verdict]


class Desk:
    """Judges requests, keeps the books, and says what to do. No I/O; time is an argument.

    The order for a server: restore, `configured`, `quoted`, reconcile with the exchange through
    `on`, then `reconciled`. After every call, before anything has an effect outside: `drain`, and
    save what it returns (to disk if one of them is in `events.DURABLE`).
    """

    def __init__(
        self,
        markets: Mapping[str, Market],
        settings: Settings,
        *,
        ledger: Ledger | None = None,
    ) -> None:
        """`markets` are all symbols of the exchange that can be traded, by symbol."""
        self.ledger = Ledger(settings.limits.money) if ledger is None else ledger
        self._markets = markets
        self._settings = settings
        self._quotes: dict[str, Quote] = {}
        self._standing = Standing(
            not_reconciled="the exchange has not been asked yet", closed=settings.closed
        )
        self._journal: list[Event] = []
        self._chores = chores.Reminders()
        self._released: dict[str, int] = {}
        self._standby = Standby()

    # What the server reports

    def configured(self, settings: Settings, now: int) -> None:
        """Apply another bot.json. The end of a trading day and a halt are never moved forward."""
        self._settings = settings
        self._standing = replace(
            self._standing, closed=settings.closed, halted_until=settings.halted_until or 0
        )
        self._catch_up(now)

    def listed(self, markets: Mapping[str, Market]) -> None:
        """Apply another list of markets."""
        self._markets = markets

    def quoted(self, quote: Quote, now: int) -> None:
        """Note a book. Quotes are not events: they are not saved."""
        self._begin_day(now)  # by the prices before it, if they are young enough
        self._quotes[quote.symbol] = quote
        self._catch_up(now)

    def on(self, event: Event, now: int) -> None:
        """Count what happened to an order, or a price that was found."""
        self._begin_day(now)
        if isinstance(event, Filled):
            event = self._with_prices(event, now)
        self._apply(event)
        if isinstance(event, Ended) and event.how is not End.FILLED:
            self._chores.ended(self.ledger, event, now)
        self._catch_up(now)

    def reconciled(self, now: int) -> None:
        """Let entries through: the exchange has been asked for all that may have changed."""
        self._standing = replace(self._standing, not_reconciled=None)
        self._catch_up(now)

    def disconnected(self, reason: str) -> None:
        """Let no entry through until `reconciled`: events of the exchange may have been missed."""
        self._standing = replace(self._standing, not_reconciled=reason)

    def granted(
        self, *, not_granted: str | None, outdated: str | None, stands_by: bool = False
    ) -> None:
        """Let entries through, or not: by the right that the operator gives. Not saved.

        Without the right, open entry orders are cancelled as well. While the limits are outdated,
        entries only wait. While one `stands_by`, another gateway of the bot may live, and have the
        right. So entry orders stay, and what is amiss with exits and protection is
        put right only if it stays so: see `standby`.
        """
        self._standing = replace(self._standing, not_granted=not_granted, outdated=outdated)
        self._standby.set(stands_by)

    def terminate(self, reason: str) -> None:
        """Let no entry through any more, and cancel entry orders. Not saved."""
        self._standing = replace(self._standing, terminating=reason)

    # What the server asks

    def decide(self, request: Request, now: int) -> Verdict:
        """Judge a request of the bot. If it is allowed, it counts as sent from here on.

        After `Allowed`, report what became of each order: `Acknowledged`, `Ended(REFUSED)` or
        `Lost`, then fills and ends as they come. An allowed request that is not sent after all is
        `Ended(NOT_TAKEN)`.
        """
        self._catch_up(now)
        verdict = decide(
            self._settings.limits,
            self.ledger,
            self._quotes,
            request,
            now,
            markets=self._markets,
            standing=self._standing,
        )
        base = assets_of(request.orders[0].symbol)[0]
        if isinstance(verdict, Release):
            self._released[base] = now + RELEASED
            for released in verdict.cancels:
                self._apply(CancelSent(time=now, client_id=released.client_id))
        elif isinstance(verdict, Allowed):
            self._released.pop(base, None)
            unit = as_unit(request, self._prices(now))
            self._apply(
                Sent(
                    time=now,
                    orders=request.orders,
                    counted=tuple(tracked.counted for tracked in unit.orders),
                    group=request.group,
                    purpose=Purpose.BOT,
                    entry=verdict.entry,
                )
            )
        return verdict

    def actions(self, now: int) -> tuple[Action, ...]:
        """Return what has to be done now; call it after each event and quote, and every second.

        Each action is returned once; what stays undone is returned again some seconds later.
        Positions are protected once the exchange has been asked for all that may have changed.
        """
        self._catch_up(now)
        for event in self._chores.given_up(self.ledger, now):
            self._apply(event)
        found: list[Action] = []
        reason = self._no_entries(now)
        if reason and not (self._standby.active and reason == self._standing.not_granted):
            found += self._cancels(chores.entries(self.ledger, reason), now)
        found += self._cancels(self._standby.kept(chores.excess(self.ledger), now), now)
        if self._standing.not_reconciled is None:
            found += self._protect(now)
        found += self._chores.questions(self.ledger, self._prices(now))
        return tuple(found)

    def report(self, now: int) -> Figures | Unknown:
        """Return the figures of `GET /risk`, or why they are unknown."""
        self._catch_up(now)
        if self._standing.not_reconciled is not None:
            return Unknown(reason=self._standing.not_reconciled)
        return figures(self.ledger, self._prices(now))

    def largest_value(self, now: int) -> Decimal | None:
        """Return what the largest position could be worth in money; None if it is not known."""
        return largest_value(self.ledger, self._prices(now))

    def notes(self, now: int) -> tuple[str, ...]:
        """Return what a user should know, such as dust that can't be protected."""
        limits, prices = self._settings.limits, self._prices(now)
        return tuple(
            step.text
            for asset in self.ledger.holdings.by_asset
            for step in protect(self.ledger, limits, prices, asset)
            if isinstance(step, Note)
        ) + chores.uncovered(self.ledger)

    def watched(self) -> frozenset[str]:
        """Return the symbols whose quotes are needed, beside those that the bot is to trade."""
        ledger, prices = self.ledger, self._prices(0)
        symbols = {prices.symbol(asset) for asset in ledger.holdings.by_asset}
        for unit in ledger.units():
            base, quote = assets_of(unit.symbol)
            symbols |= {unit.symbol, prices.symbol(base)}
            if quote != ledger.money:
                symbols.add(prices.symbol(quote))
        return frozenset(symbols)

    # The journal

    def drain(self) -> tuple[Event, ...]:
        """Return the events that were counted since the last call, for the journal."""
        events, self._journal = tuple(self._journal), []
        return events

    def snapshot(self) -> JsonObject:
        """Return the whole ledger as JSON: a journal can begin with it."""
        snapshot: JsonObject = _STATE.dump_python(self.ledger.state, mode="json")
        return snapshot

    @classmethod
    def restore(
        cls,
        markets: Mapping[str, Market],
        settings: Settings,
        *,
        snapshot: JsonObject | None,
        events: Iterable[Event],
        now: int,
    ) -> "Desk":
        """Return a desk that goes on after a snapshot and the events that were saved since.

        Orders without an answer are unknown until the exchange has said. Entries wait for
        `reconciled`. Raises pydantic's ValidationError for what is not a snapshot, ValueError for
        one in another currency.
        """
        money = settings.limits.money
        state = State(money) if snapshot is None else _STATE.validate_python(snapshot, strict=False)
        if state.money != money:
            raise ValueError(f"the ledger is in {state.money}, and the limits are in {money}")
        ledger = Ledger(money, state)
        for event in events:
            ledger.apply(event)
        desk = cls(markets, settings, ledger=ledger)
        for event in ledger.restarted(now):
            desk._apply(event)
        desk.configured(settings, now)
        return desk

    # Inside

    def _apply(self, event: Event) -> None:
        self.ledger.apply(event)
        self._journal.append(event)

    def _prices(self, now: int) -> Prices:
        return Prices(self._settings.limits.money, self._markets, self._quotes, now)

    def _catch_up(self, now: int) -> None:
        """Begin the trading day, and halt if it has lost too much: before anything else happens."""
        self._begin_day(now)
        if self.ledger.day is not None:
            self._price_start(now, self.ledger.day.missing_marks())
        self._value_entries(now)
        limit = self._settings.limits.daily_loss_limit
        day = self.ledger.day
        if day is None or self.ledger.state.halted_until >= day.ends:
            return
        if self._standing.not_reconciled is not None:
            return  # half of the fills would show a loss, or a profit, that there is not
        known = figures(self.ledger, self._prices(now))
        if isinstance(known, Figures) and known.day_pnl <= -limit:
            money = self._settings.limits.money
            lost = f"{figure(-known.day_pnl)} {money}; dailyLossLimit is {figure(limit)}"
            self._halt(f"the day has lost {lost}", now)

    def _halt(self, reason: str, now: int) -> None:
        day = self.ledger.day
        if day is not None and self.ledger.state.halted_until < day.ends:
            self._apply(Halted(time=now, until=day.ends, reason=reason))

    def _begin_day(self, now: int) -> None:
        """Begin the trading day that the calendar says, with the prices of that moment."""
        day = self.ledger.day
        if day is not None and now < day.ends:
            return
        calendar = self._settings.calendar
        before = None if day is None else TradingDay(day.day, as_instant(day.ends))
        today = trading_day(calendar, as_instant(now), before)
        starts = as_milliseconds(begin(calendar, today.date))
        if day is not None:
            starts = max(starts, day.ends)
        self._apply(
            DayBegan(time=now, day=today.date, starts=starts, ends=as_milliseconds(today.ends))
        )
        # Of all assets: a fill of the day before may still arrive.
        self._price_start(now, {assets_of(symbol)[0] for symbol in self._quotes})

    def _price_start(self, now: int, assets: Iterable[str]) -> None:
        """Note the prices of the day's start, while those of now are. `FindPrice` asks later."""
        day = self.ledger.day
        if day is None or now - day.starts > MAX_AGE:
            return
        prices = self._prices(day.starts)
        for asset in sorted(set(assets) - day.marks.keys()):
            quote = prices.of(asset)
            if quote is not None:
                self._apply(
                    Priced(time=now, asset=asset, at=day.starts, price=quote.bid, ask=quote.ask)
                )

    def _value_entries(self, now: int) -> None:
        """Take the price of now for positions whose entry had none: a stop must exist."""
        for asset, holding in self.ledger.holdings.by_asset.items():
            quote = None if holding.priced else self._prices(now).of(asset)
            if quote is not None:
                price = quote.bid if holding.quantity > 0 else quote.ask
                self._apply(Valued(time=now, asset=asset, price=price))

    def _with_prices(self, event: Filled, now: int) -> Filled:
        """Return the fill with the prices of assets that are not money: of fee and quote asset."""
        prices, money = self._prices(now), self.ledger.money
        base, quote_asset = assets_of(event.symbol)
        quote = None if quote_asset == money else prices.of(quote_asset)
        if quote is not None and event.quote_price is None:
            event = replace(event, quote_price=quote.bid)
        fee = None if event.fee_asset in {base, quote_asset, money} else prices.of(event.fee_asset)
        if fee is not None and event.fee_price is None and abs(now - event.time) <= MAX_AGE:
            event = replace(event, fee_price=fee.ask)
        return event

    def _no_entries(self, now: int) -> str | None:
        """Return why open entry orders have to be cancelled now, if they have to."""
        standing, state = self._standing, self.ledger.state
        reason = standing.terminating or standing.not_granted or standing.closed
        if reason:
            return reason
        if now < max(state.halted_until, standing.halted_until):
            return state.halt_reason or "the bot is halted for its daily loss"
        return None

    def _cancels(self, wanted: Iterable[Cancel], now: int) -> list[Action]:
        """Return the cancels that are not on their way already."""
        sent: list[Action] = []
        for one in wanted:
            tracked = self.ledger.order(one.client_id)
            if tracked is not None and chores.due(tracked.cancel_sent, now):
                self._apply(CancelSent(time=now, client_id=one.client_id))
                sent.append(one)
        return sent

    def _protect(self, now: int) -> list[Action]:
        limits, prices = self._settings.limits, self._prices(now)
        found: list[Action] = []
        for asset in list(self.ledger.holdings.by_asset):
            steps = tuple(protect(self.ledger, limits, prices, asset))
            if self._standby.leaves(asset, steps, now):
                continue
            for step in steps:
                if isinstance(step, Cancel):
                    found += self._cancels([step], now)
                elif isinstance(step, Protect) and self._may_protect(asset, now):
                    place = own_orders.protection(step, number=self._own_orders, now=now)
                    found.append(self._placed(place, now))
                elif isinstance(step, Close) and self._chores.may_close(asset, now):
                    if step.halts:
                        self._halt(f"{asset} could not be protected: {step.reason}", now)
                    place = own_orders.market_exit(step, number=self._own_orders, now=now)
                    found.append(self._placed(place, now))
        return found

    @property
    def _own_orders(self) -> int:
        return self.ledger.state.own_orders

    def _may_protect(self, asset: str, now: int) -> bool:
        return self._released.get(asset, 0) <= now and self._chores.may_protect(asset, now)

    def _placed(self, place: Place, now: int) -> Place:
        """Count own orders as sent, and return them."""
        self._apply(own_orders.as_sent(place, now))
        return place
