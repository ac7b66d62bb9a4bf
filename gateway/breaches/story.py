"""What happens, step by step: a bot, a market, people and failures, chosen by chance."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import accumulate
from typing import Any

from tradingbot_exchange.engine.types import NewOrder, OrderType, Side

from breaches.facts import Asked
from breaches.translate import settings_of
from breaches.venue import INSTRUMENTS, START
from breaches.world import DAY, RULES, World

CALM = 500
"""Steps after which the world holds its breath, and everything must be in order."""
BREATHS = 40
"""Seconds until then: requests arrive within 5, and 10 after that nothing is unknown any more."""

D = Decimal


class Story:
    """A run of the world."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.step = 0
        self._random = self.world.random
        self._left = 0
        steps: tuple[tuple[Callable[[], None], int], ...] = (
            (self._entry, 220),
            (self._exit, 110),
            (self._list, 20),
            (self._replace, 20),
            (self._again, 15),
            (self._cancel, 60),
            (self._cancel_of_somebody, 10),
            (self._move, 230),
            (self._act, 230),
            (self._limits, 12),
            (self._wait_long, 6),
            (self._midnight, 1),
            (self._crash, 4),
            (self._cut, 4),
            (self._leave, 1),
            (self._somebody_trades, 20),
        )
        self._steps = [step for step, _ in steps]
        self._bounds = list(accumulate(weight for _, weight in steps))

    def run(self, steps: int) -> None:
        """Take steps. Raises Breach in the step `self.step`."""
        for _ in range(steps):
            step = self._random.choices(self._steps, cum_weights=self._bounds)[0]
            self.step += 1
            world = self.world
            world.counts[f"step {step.__name__.strip('_')}"] += 1
            world.wait(int(self._random.expovariate(1 / 300)))
            world.deliver()
            step()
            if not world.connected and self._random.random() < 0.2:
                world.reconcile()
            if self.step % CALM == 0:
                self._calm()

    # The bot

    def _name(self) -> str:
        return f"bot-{next(self.world.names)}"

    def _symbol(self) -> str:
        return self._random.choice(("BTC-USDT", "BTC-USDT", "ETH-USDT", "SOL-USDT", "ETH-BTC"))

    def _terms(self, symbol: str, side: Side, quantity: Decimal) -> NewOrder:
        """Return an order of this size, of any type, near the market."""
        chance, one, price = self._random.random(), INSTRUMENTS[symbol], self.world.venue.prices
        near = price[symbol] * D(f"{self._random.gauss(1, 0.01):.5f}")
        if chance < 0.04:
            near *= D(f"{self._random.uniform(0.85, 1.15):.3f}")
        limit = max(near // one.tick * one.tick, one.tick)
        common: dict[str, Any] = {"symbol": symbol, "side": side, "client_id": self._name()}
        if chance < 0.3:
            if self._random.random() < 0.3:
                spent = (quantity * price[symbol]).quantize(D("0.01"))
                return NewOrder(**common, type=OrderType.MARKET, quote_quantity=spent)
            return NewOrder(**common, type=OrderType.MARKET, quantity=quantity)
        if chance < 0.42:
            kind = OrderType.STOP_LIMIT if chance < 0.4 else OrderType.STOP_MARKET
            return NewOrder(
                **common,
                type=kind,
                quantity=quantity,
                price=limit if kind is OrderType.STOP_LIMIT else None,
                stop_price=limit,
            )
        return NewOrder(**common, type=OrderType.LIMIT, quantity=quantity, price=limit)

    def _quantity(self, symbol: str) -> Decimal:
        """Return a size up to a third more than the limit would allow."""
        money = D(self._random.randint(1, 1300)) / 1000 * self.world.checker.rules.size
        if self._random.random() < 0.5:
            money /= 10
        price = self.world.venue.prices[symbol]
        if symbol.endswith("BTC"):
            price *= self.world.venue.prices["BTC-USDT"]
        return max((money / price).quantize(D("0.001")), D("0.001"))

    def _entry(self) -> None:
        symbol = self._symbol()
        side = Side.BUY if self._random.random() < 0.9 else Side.SELL
        if self._random.random() < 0.02:
            symbol = "ETH-BTC"
        self.world.ask(Asked(legs=(self._terms(symbol, side, self._quantity(symbol)),)))

    def _held(self) -> tuple[str, Decimal] | None:
        held = [(a, q) for a, q in self.world.checker.money.held.items() if abs(q) >= D("0.001")]
        return self._random.choice(held) if held else None

    def _exit(self) -> None:
        found = self._held()
        if found is None:
            return
        asset, held = found
        part = self._random.choice((D(1), D(1), D("0.5"), D("0.3"), D("1.1")))
        quantity = max((abs(held) * part) // D("0.001") * D("0.001"), D("0.001"))
        side = Side.SELL if held > 0 else Side.BUY
        self.world.ask(Asked(legs=(self._terms(f"{asset}-USDT", side, quantity),)))

    def _list(self) -> None:
        """Ask for a list: mostly an exit, or an entry above or below the market."""
        found = self._held()
        if found is None or self._random.random() < 0.3:
            symbol, side = self._symbol(), Side.BUY
            quantity = self._quantity(symbol)
        else:
            symbol, side = f"{found[0]}-USDT", Side.SELL if found[1] > 0 else Side.BUY
            quantity = max(abs(found[1]) // D("0.001") * D("0.001"), D("0.001"))
        one, price = INSTRUMENTS[symbol], self.world.venue.prices[symbol]
        away = -1 if side is Side.BUY else 1
        limit = price * (1 + away * D("0.02")) // one.tick * one.tick
        stop = price * (1 - away * D("0.02")) // one.tick * one.tick
        common: dict[str, Any] = {"symbol": symbol, "side": side, "quantity": quantity}
        self.world.ask(
            Asked(
                legs=(
                    NewOrder(**common, type=OrderType.LIMIT, price=limit, client_id=self._name()),
                    NewOrder(
                        **common,
                        type=OrderType.STOP_LIMIT,
                        price=stop,
                        stop_price=stop,
                        client_id=self._name(),
                    ),
                ),
                group=self._name(),
            )
        )

    def _open(self) -> list[str]:
        groups = self.world.venue.own.groups
        return [
            name
            for name in self.world.venue.open_orders()
            if name.startswith("bot") and name not in groups
        ]

    def _replace(self) -> None:
        found = self._open()
        if found:
            old = self._random.choice(found)
            terms = self.world.venue.own.orders[old].request
            if terms.quantity is not None:
                new = self._terms(terms.symbol, terms.side, terms.quantity)
                self.world.ask(Asked(legs=(new,), replaces=old))

    def _again(self) -> None:
        """Send an order again, as bots do: the same id, or another."""
        orders = list(self.world.checker.orders.values())[-20:]
        own = [one.terms for one in orders if not one.gateways and one.group is None]
        if own:
            terms = replace(self._random.choice(own), attributes={})
            terms = replace(terms, client_id=terms.client_id.partition("~")[0])
            if self._random.random() < 0.5:
                terms = replace(terms, client_id=self._name())
            self.world.ask(Asked(legs=(terms,)))

    def _cancel(self) -> None:
        found = self._open()
        if found:
            self.world.venue.cancel(self._random.choice(found), self.world.now)

    def _cancel_of_somebody(self) -> None:
        """Let a person cancel something: protection, too."""
        found = self.world.venue.open_orders()
        if found:
            self.world.venue.cancel(self._random.choice(found), self.world.now)

    # The market

    def _move(self) -> None:
        symbol = self._random.choice(list(INSTRUMENTS))
        world = self.world
        price, start = world.venue.prices[symbol], START[symbol]
        back = 1 + float((start - price) / start) * 0.02
        jump = self._random.random() < 0.03
        factor = self._random.gauss(back, 0.04 if jump else 0.002)
        size = D(self._random.choice(("0.5", "5", "50"))) * (START["BTC-USDT"] / start) ** (
            0 if symbol == "ETH-BTC" else 1
        )
        self._jump(symbol, D(f"{min(max(factor, 0.8), 1.2):.6f}"), size)
        if self._random.random() < 0.9:
            world.show(symbol)

    def _jump(self, symbol: str, factor: Decimal, size: Decimal) -> None:
        one, start = INSTRUMENTS[symbol], START[symbol]
        moved = min(max(self.world.venue.prices[symbol] * factor, start / 2), start * 2)
        self.world.venue.move(symbol, moved // one.tick * one.tick, self.world.now, size)

    def _act(self) -> None:
        self.world.act()

    # Settings, time, failures, people

    def _limits(self) -> None:
        pick = self._random.choice
        world = self.world
        crosses = frozenset({"BTC-USDT", "ETH-USDT", "ETH-BTC"})
        world.checker.rules = replace(
            RULES,
            size=D(pick((100, 500, 1000, 1000))),
            positions=pick((1, 2, 3, 3)),
            loss=D(pick((20, 50, 100))),
            collar=D(pick(("0.5", "1", "5"))),
            stop=D(pick(("1", "2.5", "2.5"))),
            profit=D(pick(("3", "5", "5"))),
            rate=pick((10, 60, 60)),
            symbols=pick((None, crosses, frozenset({"BTC-USDT"}))),
            closed=self._random.random() < 0.1,
            halted_until=world.now + 60_000 if self._random.random() < 0.1 else 0,
        )
        self.configure()

    def configure(self) -> None:
        """Give the rules to the gateway."""
        world = self.world
        settings = settings_of(world.checker.rules)
        world.call(lambda: world.desk.configured(settings, world.now))

    def _wait_long(self) -> None:
        self.world.wait(self._random.randint(5_000, 60_000))
        if self._random.random() < 0.7:
            self.world.show_all()

    def _midnight(self) -> None:
        """Let the next trading day begin, with young prices or without."""
        world = self.world
        left = DAY - world.now % DAY
        if left > 40_000:
            world.wait(left - self._random.randint(1_000, 40_000))
            world.deliver()
        if self._random.random() < 0.8:
            world.show_all()
        world.wait(DAY - world.now % DAY + self._random.randint(-2_000, 35_000))
        if self._random.random() < 0.5:
            world.show_all()

    def _crash(self) -> None:
        self.world.crash()

    def _cut(self) -> None:
        self.world.disconnect()

    def _leave(self) -> None:
        """End entries, as of a pod that is to go; the next one starts where it ended."""
        world = self.world
        self._left += 1
        how = ("leaving", "not granted", "leaving", "outdated")[self._left % 4]
        if how == "leaving":
            world.checker.leaving = True
            world.desk.terminate("the pod was told to go")
        else:
            world.checker.barred = how
            world.desk.granted(
                not_granted=how if how == "not granted" else None,
                outdated=how if how == "outdated" else None,
            )
        for _ in range(5):
            self._entry()
            world.wait(200)
            world.deliver()
            world.act()
        world.crash()

    def _somebody_trades(self) -> None:
        symbol = self._symbol()
        side = self._random.choice((Side.BUY, Side.SELL))
        self.world.venue.of_somebody(side, symbol, D("0.1"), self.world.now)

    def _calm(self) -> None:
        """Let all be told and done, without failures, and check what must be true then."""
        world = self.world
        world.reliable = True
        world.venue.end_of_somebody(world.now)
        for symbol in INSTRUMENTS:  # an empty book keeps an exit from filling
            self._jump(symbol, D(self._random.choice(("1", "1", "0.95", "1.05"))), D(1000))
        if not world.connected:
            world.reconcile()
        for breath in range(BREATHS):
            world.wait(1_000)
            world.deliver(everything=True)
            world.show_all()
            busy = world.act()
            world.deliver(everything=True)
            if not busy and breath >= BREATHS // 2:
                break
        world.disk.flush()
        world.checker.calm(world.now)
        for client_id in world.checker.forget(world.now):
            world.venue.forget(client_id)
        world.reliable = False
