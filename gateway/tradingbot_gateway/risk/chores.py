"""What has to be asked, cancelled or tried again, beside protection."""

from collections.abc import Iterator
from decimal import Decimal

from tradingbot_exchange.engine.types import Side

from tradingbot_gateway.risk.actions import Action, Ask, Cancel, FindPrice
from tradingbot_gateway.risk.decision import cancel
from tradingbot_gateway.risk.events import End, Ended, Lost
from tradingbot_gateway.risk.figures import Prices
from tradingbot_gateway.risk.ledger import Ledger
from tradingbot_gateway.risk.orders import SETTLE, Stage, Tracked, Unit
from tradingbot_gateway.risk.types import ZERO, Purpose, assets_of

AGAIN = 2_000
"""Milliseconds after which a question, or a cancel without an answer, is repeated."""
CLOSE_AGAIN = 5_000
"""Milliseconds after which an exit that was refused, or has found no other side, is repeated."""
PROTECT_AGAIN, PROTECT_AGAIN_AT_MOST = 1_000, 10_000
"""Milliseconds after which protection that was not taken is repeated: at first, and after pauses
that double. The exchange may ban an address that does not slow down."""


def due(last: int | None, now: int) -> bool:
    """Whether something that was done at `last` is to be done again."""
    return last is None or not 0 <= now - last < AGAIN


def entries(ledger: Ledger, reason: str) -> list[Cancel]:
    """Return the cancels of all entry orders of the bot."""
    return [cancel(unit, reason) for unit in ledger.units() if unit.open and unit.first.entry]


def excess(ledger: Ledger) -> list[Cancel]:
    """Return the cancels of exits that no position is left for, the newest first.

    There are some when a position was closed in another way meanwhile: by the gateway at the stop
    price, or by an order that was lost. They would open a position in the other direction.
    """
    found = []
    left: dict[tuple[str, Side], Decimal] = {}
    for unit in _exits(ledger):
        base = assets_of(unit.symbol)[0]
        key = base, unit.side
        held = ledger.held(base) if unit.side is Side.SELL else -ledger.held(base)
        left[key] = left.get(key, max(held, ZERO)) - unit.remaining
        if left[key] < 0 and unit.purpose is not Purpose.EXIT:
            found.append(cancel(unit, "no position is left that the order could close"))
            left[key] += unit.remaining
    return found


def _exits(ledger: Ledger) -> list[Unit]:
    """Return open exits in the order in which they are kept: the gateway's protection goes first.

    An exit at the market can't be cancelled, and comes before all others.
    """
    exits = [unit for unit in ledger.units() if unit.open and not unit.first.entry]
    order = [Purpose.EXIT, Purpose.BOT, Purpose.PROTECTION]
    return sorted(exits, key=lambda unit: (order.index(unit.purpose), unit.first.sent))


def uncovered(ledger: Ledger) -> tuple[str, ...]:
    """Return the positions of which the account has less."""
    totals = ledger.state.totals
    return tuple(
        f"the account has {totals[asset]:f} {asset}, and the bot's position is"
        f" {holding.quantity:f}: somebody else has sold or withdrawn the rest"
        for asset, holding in ledger.holdings.by_asset.items()
        if asset in totals and totals[asset] < holding.quantity
    )


class Reminders:
    """When something was asked or tried last. It is forgotten at a restart, which asks all."""

    def __init__(self) -> None:
        self._asked: dict[Action, int] = {}
        self._close_after: dict[str, int] = {}
        self._protect_after: dict[str, tuple[int, int]] = {}
        """When protection may be repeated, and the pause before that."""

    def ended(self, ledger: Ledger, event: Ended, now: int) -> None:
        """Note that an order has ended without being filled: the next one waits a little."""
        tracked = ledger.order(event.client_id)
        if tracked is None:
            return
        asset = assets_of(tracked.order.symbol)[0]
        if tracked.purpose is Purpose.EXIT:
            self._close_after[asset] = now + CLOSE_AGAIN
        elif tracked.purpose is Purpose.PROTECTION and event.how is End.NOT_TAKEN:
            self._put_off(asset, now)

    def _put_off(self, asset: str, now: int) -> None:
        after, pause = self._protect_after.get(asset, (0, 0))
        if now < after:
            return  # the other order of the same list
        is_again = now - after < PROTECT_AGAIN_AT_MOST
        pause = min(2 * pause, PROTECT_AGAIN_AT_MOST) if is_again else PROTECT_AGAIN
        self._protect_after[asset] = now + pause, pause

    def may_close(self, asset: str, now: int) -> bool:
        """Whether an exit at the market may be sent now."""
        return self._close_after.get(asset, 0) <= now

    def may_protect(self, asset: str, now: int) -> bool:
        """Whether protection may be sent now."""
        return self._protect_after.get(asset, (0, 0))[0] <= now

    def given_up(self, ledger: Ledger, now: int) -> list[Lost]:
        """Return the orders whose answer is overdue: their outcome is unknown."""
        return [
            Lost(time=now, client_id=tracked.order.client_id)
            for tracked in ledger.open_orders()
            if tracked.stage is Stage.SENT and now - tracked.sent > SETTLE
        ]

    def questions(self, ledger: Ledger, prices: Prices) -> list[Action]:
        """Return what has to be asked now."""
        wanted: list[Ask | FindPrice] = [
            *_unknown_orders(ledger, prices.now),
            *_unknown_prices(ledger),
        ]
        found: list[Action] = [
            question for question in wanted if due(self._asked.get(question), prices.now)
        ]
        self._asked = {q: self._asked[q] for q in wanted if q in self._asked}
        self._asked |= dict.fromkeys(found, prices.now)
        return found


def _unknown_orders(ledger: Ledger, now: int) -> Iterator[Ask]:
    for tracked in ledger.open_orders():
        if tracked.stage is Stage.LOST or tracked.missing or _cancel_overdue(tracked, now):
            yield Ask(client_id=tracked.order.client_id, symbol=tracked.order.symbol)
    for client_id, symbol in ledger.state.strangers.items():
        yield Ask(client_id=client_id, symbol=symbol)


def _cancel_overdue(tracked: Tracked, now: int) -> bool:
    return tracked.open and tracked.cancel_sent is not None and now - tracked.cancel_sent >= AGAIN


def _unknown_prices(ledger: Ledger) -> Iterator[FindPrice]:
    day = ledger.day
    if day is not None:
        for asset in day.missing_marks():
            yield FindPrice(asset=asset, at=day.starts)
        for fee in day.unpriced:
            yield FindPrice(asset=fee.asset, at=fee.at)
