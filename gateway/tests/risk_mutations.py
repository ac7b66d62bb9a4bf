"""Defects that are put into the core on purpose, one at a time: the checker must notice each."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from breaches import disk
from tradingbot_exchange.engine.types import Side
from tradingbot_gateway.risk import (
    chores,
    controls,
    day,
    decision,
    desk,
    figures,
    ledger,
    orders,
    protection,
    types,
)
from tradingbot_gateway.risk.events import DURABLE, End, Sent
from tradingbot_gateway.risk.figures import Unknown
from tradingbot_gateway.risk.types import ZERO, Purpose
from tradingbot_gateway.risk.verdicts import Allowed, Control, Refused

Patch = Callable[[pytest.MonkeyPatch], None]


def without(control: str) -> Patch:
    """Return what removes a control."""
    return lambda patch: patch.setitem(controls.CHECKS, control, lambda _: None)


def stale_prices_are_fresh(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(types.Quote, "fresh", lambda quote, _: bool(quote.bids) and bool(quote.asks))


def halts_end_with_the_loss(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(desk.Desk, "_halt", lambda *_: None)


def lost_orders_do_not_count(patch: pytest.MonkeyPatch) -> None:
    def lost(self: ledger.Ledger, event: Any) -> None:
        self._live.pop(event.client_id, None)

    patch.setattr(ledger.Ledger, "_lost", lost)


def a_restart_awaits_answers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger.Ledger, "restarted", lambda *_: [])


def open_orders_do_not_count(patch: pytest.MonkeyPatch) -> None:
    known = orders.units

    def units(tracked: Any) -> list[Any]:
        return [u for u in known(tracked) if u.purpose is not Purpose.BOT or not u.first.entry]

    patch.setattr(ledger, "units", units)


def each_order_of_a_list_counts_half(patch: pytest.MonkeyPatch) -> None:
    known = orders.units

    def units(tracked: Any) -> list[Any]:
        return [orders.Unit(u.orders, u.remaining / len(u.orders)) for u in known(tracked)]

    patch.setattr(ledger, "units", units)


def doubled_fills_count_twice(patch: pytest.MonkeyPatch) -> None:
    filled = ledger.Ledger._filled

    def twice(self: ledger.Ledger, event: Any) -> None:
        tracked = self.order(event.client_id)
        if tracked is not None:
            tracked.trades.clear()
        filled(self, event)

    patch.setattr(ledger.Ledger, "_filled", twice)


def missing_fills_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(orders.Tracked, "missing", property(lambda _: ZERO))


def not_found_is_believed_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger, "SETTLE", 0)


def earlier_orders_answer_for_later_ones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(orders.Tracked, "is_of", lambda *_: True)


def sent_orders_are_not_saved(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(disk, "DURABLE", tuple(kind for kind in DURABLE if kind is not Sent))


def exits_are_judged_as_entries(patch: pytest.MonkeyPatch) -> None:
    def all_flows(ledger: Any, _: Any, unit: Any, prices: Any) -> Any:
        return tuple(decision.flows(unit, ledger.money, prices))

    patch.setattr(decision, "_extends", all_flows)


def sales_are_always_exits(patch: pytest.MonkeyPatch) -> None:
    judged = decision._extends

    def only_purchases(ledger: Any, request: Any, unit: Any, prices: Any) -> Any:
        return () if unit.side is Side.SELL else judged(ledger, request, unit, prices)

    patch.setattr(decision, "_extends", only_purchases)


def open_exits_do_not_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decision, "_is_replaced", lambda unit, _: not unit.first.entry)


def protection_is_not_released(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decision, "_locks", lambda *_: ())


def protection_is_placed_again(patch: pytest.MonkeyPatch) -> None:
    closes = protection._Position._closes

    def not_own(self: Any, unit: Any) -> bool:
        return unit.purpose is Purpose.BOT and closes(self, unit)

    patch.setattr(protection._Position, "_closes", not_own)


def protection_ignores_exits_of_the_bot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(protection._Position, "_taken", lambda *_: ZERO)


def nothing_is_protected(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(desk, "protect", lambda *_: [])


def entries_stay_open_in_a_halt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(chores, "entries", lambda *_: [])


def protection_stays_without_a_position(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(chores, "excess", lambda *_: [])


def fees_do_not_count(patch: pytest.MonkeyPatch) -> None:
    count = ledger.Ledger._count

    def without_fee(self: Any, event: Any, side: Any) -> None:
        count(self, replace(event, fee=ZERO), side)

    patch.setattr(ledger.Ledger, "_count", without_fee)


def the_start_of_the_day_is_ignored(patch: pytest.MonkeyPatch) -> None:
    def began(self: Any, event: Any) -> None:
        if self.state.day is None:
            at_start = self.holdings.copy()
            self.state.day = day.Day(
                day=event.day, starts=event.starts, ends=event.ends, at_start=at_start
            )
        self.state.day.day, self.state.day.ends = event.day, event.ends

    patch.setattr(ledger.Ledger, "_day_began", began)


def cancels_end_orders_before_the_exchange_has_said(patch: pytest.MonkeyPatch) -> None:
    def cancelled(self: Any, event: Any) -> None:
        self._ended(ledger.Ended(time=event.time, client_id=event.client_id, how=End.CANCELED))

    patch.setattr(ledger.Ledger, "_cancel_sent", cancelled)


def new_limits_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(desk.Desk, "configured", lambda *_: None)


def halts_have_no_end(patch: pytest.MonkeyPatch) -> None:
    halt = ledger.Ledger._halted

    def for_ever(self: Any, event: Any) -> None:
        halt(self, replace(event, until=event.until * 2))

    patch.setattr(ledger.Ledger, "_halted", for_ever)


def all_entries_are_refused(patch: pytest.MonkeyPatch) -> None:
    answer = Refused(control=Control.PRICE_COLLAR, message="no")
    patch.setitem(controls.CHECKS, "price_collar", lambda _: answer)


def entries_count_as_exits(patch: pytest.MonkeyPatch) -> None:
    def judged(*arguments: Any, **more: Any) -> Any:
        verdict = decision.decide(*arguments, **more)
        return replace(verdict, entry=False) if isinstance(verdict, Allowed) else verdict

    patch.setattr(desk, "decide", judged)


def stops_are_too_far(patch: pytest.MonkeyPatch) -> None:
    levels = protection.levels

    def far(holding: Any, market: Any, limits: Any) -> Any:
        return levels(holding, market, replace(limits, stop_loss_percentage=Decimal(4)))

    patch.setattr(protection, "levels", far)


def protection_keeps_its_prices(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(protection, "_same_levels", lambda *_: True)


def nothing_is_closed_at_the_stop_price(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(protection._Position, "_passed", lambda *_, **__: False)


def refused_protection_does_not_halt(patch: pytest.MonkeyPatch) -> None:
    close = protection._Position._close

    def without_halt(self: Any, quantity: Any, reason: Any, **_: Any) -> Any:
        return close(self, quantity, reason)

    patch.setattr(protection._Position, "_close", without_halt)


def protection_that_is_not_taken_counts_as_refused(patch: pytest.MonkeyPatch) -> None:
    ended = ledger.Ledger._ended

    def refused(self: ledger.Ledger, event: Any) -> None:
        is_not_taken = event.how is End.NOT_TAKEN
        ended(self, replace(event, how=End.REFUSED) if is_not_taken else event)

    patch.setattr(ledger.Ledger, "_ended", refused)


def reports_look_better(patch: pytest.MonkeyPatch) -> None:
    report = desk.Desk.report

    def better(self: Any, now: int) -> Any:
        known = report(self, now)
        return known if isinstance(known, Unknown) else replace(known, day_pnl=abs(known.day_pnl))

    patch.setattr(desk.Desk, "report", better)


def reports_are_never_unknown(patch: pytest.MonkeyPatch) -> None:
    def always(self: Any, now: int) -> Any:
        return figures.figures(self.ledger, self._prices(now))

    patch.setattr(desk.Desk, "report", always)


def a_restart_takes_other_prices_of_entry(patch: pytest.MonkeyPatch) -> None:
    restarted = ledger.Ledger.restarted

    def dearer(self: Any, now: int) -> Any:
        for holding in self.holdings.by_asset.values():
            holding.cost *= Decimal("1.01")
        return restarted(self, now)

    patch.setattr(ledger.Ledger, "restarted", dearer)


MUTATIONS: Mapping[str, Patch] = {
    **{
        f"without {name}": without(name)
        for name in controls.CHECKS
        if name != "no_price"  # `stale prices are fresh`: without a price nothing can be valued
    },
    **{
        patch.__name__.replace("_", " "): patch
        for patch in (
            stale_prices_are_fresh,
            halts_end_with_the_loss,
            lost_orders_do_not_count,
            a_restart_awaits_answers,
            open_orders_do_not_count,
            each_order_of_a_list_counts_half,
            doubled_fills_count_twice,
            missing_fills_are_ignored,
            not_found_is_believed_at_once,
            earlier_orders_answer_for_later_ones,
            sent_orders_are_not_saved,
            exits_are_judged_as_entries,
            sales_are_always_exits,
            open_exits_do_not_count,
            protection_is_not_released,
            protection_is_placed_again,
            protection_ignores_exits_of_the_bot,
            nothing_is_protected,
            entries_stay_open_in_a_halt,
            protection_stays_without_a_position,
            fees_do_not_count,
            the_start_of_the_day_is_ignored,
            cancels_end_orders_before_the_exchange_has_said,
            new_limits_are_ignored,
            halts_have_no_end,
            all_entries_are_refused,
            entries_count_as_exits,
            stops_are_too_far,
            protection_keeps_its_prices,
            nothing_is_closed_at_the_stop_price,
            refused_protection_does_not_halt,
            protection_that_is_not_taken_counts_as_refused,
            reports_look_better,
            reports_are_never_unknown,
            a_restart_takes_other_prices_of_entry,
        )
    },
}
"""By name: what is broken."""
