"""Random calls of an engine with little money and small limits, most of which meet each other."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from random import Random

from engine_checked import CheckedEngine
from engine_samples import COARSE, SELL
from tradingbot_exchange.engine.types import (
    NewOrder,
    OrderType,
    RefusedError,
    Side,
    TimeInForce,
)

INSTRUMENTS = (COARSE, replace(COARSE, symbol="C-B", base="C", fee_in_quote=True))
ACCOUNTS = ("ada", "bob", "cyd", "bot")
ASSETS = ("A", "B", "C")
MIDDLE = Decimal("2.5")
PRICED = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
BAD_PRICES = [Decimal(text) for text in ("2.55", "-1", "0", "NaN", "-Infinity", "9", "0.2", "999")]
BAD_QUANTITIES = [Decimal(text) for text in ("0.015", "0", "-1", "NaN", "Infinity", "11", "1E-9")]


class RandomCalls:
    """Makes calls on a checked engine."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.checked = CheckedEngine(INSTRUMENTS, ACCOUNTS)
        for account in ACCOUNTS:
            for asset in ASSETS:
                self.checked.deposit(account, asset, Decimal(20))

    def step(self) -> None:
        """Make one call, and check everything."""
        steps: dict[Callable[[], None], int] = {
            self.submit: 50,
            self.oco: 8,
            self.cancel: 8,
            self.replace: 8,
            self.edit: 8,
            self.outside: 4,
            self.time_passes: 6,
            self.deposit: 3,
            self.halt: 1,
            self.checked.restore: 2,
        }
        chosen = self.random.choices(list(steps), list(steps.values()))[0]
        chosen()
        self.checked.check()

    def submit(self) -> None:
        """Submit an order; `check` must say beforehand whether it is refused."""
        request, account = self.request(self.kind()), self.random.choice(ACCOUNTS)
        # `check` compares with the time of the latest call.
        self.checked.expire()
        refused = False
        try:
            self.checked.engine.check(account, request)
        except RefusedError:
            refused = True
        done = self.checked.call(lambda e: e.submit(account, request, now=self.checked.now))
        assert (done is None) == refused

    def oco(self) -> None:
        """Submit an OCO list with prices around the last one."""
        kind = self.random.choice([OrderType.LIMIT, *PRICED[::2], OrderType.TAKE_PROFIT_MARKET])
        symbol = self.random.choice(INSTRUMENTS).symbol
        limit = replace(self.request(kind), symbol=symbol)
        stop = self.request(self.random.choice([OrderType.STOP_LIMIT, OrderType.STOP_MARKET]))
        last = self.checked.engine.last_price(symbol) or MIDDLE
        gap = Decimal(self.random.randint(0, 3)) / 10 * (1 if limit.side is SELL else -1)
        name = "price" if kind is OrderType.LIMIT else "stop_price"
        limit = replace(limit, **{name: last + gap})
        stop = replace(
            stop,
            symbol=symbol,
            side=limit.side,
            quantity=limit.quantity,
            stop_price=last - gap,
        )
        account, client_id = self.random.choice(ACCOUNTS), self.client_id()
        self.checked.call(
            lambda e: e.submit_oco(account, limit, stop, client_id=client_id, now=self.checked.now)
        )

    def cancel(self) -> None:
        """Cancel an open order."""
        if self.checked.open:
            account, number = self._any_open()
            done = self.checked.call(lambda e: e.cancel(account, number, now=self.checked.now))
            assert done is not None

    def replace(self) -> None:
        """Replace an open order by any other."""
        if self.checked.open:
            account, number = self._any_open()
            request = self.request(self.kind())
            self.checked.call(lambda e: e.replace(account, number, request, now=self.checked.now))

    def edit(self) -> None:
        """Edit an open order, often without another price."""
        if self.checked.open:
            account, number = self._any_open()
            old = self.checked.open[number].request.price
            price = self.price() if old is None or self.random.random() < 0.5 else old
            quantity = self.quantity()
            self.checked.call(
                lambda e: e.edit(
                    account, number, price=price, quantity=quantity, now=self.checked.now
                )
            )

    def outside(self) -> None:
        """Let the outside market trade."""
        symbol, price = self.random.choice(INSTRUMENTS).symbol, self.price()
        quantity = self.random.choice([None, self.quantity()])
        self.checked.call(
            lambda e: e.trade_through(symbol, price, quantity=quantity, now=self.checked.now)
        )

    def time_passes(self) -> None:
        """Let a few milliseconds pass."""
        self.checked.now += self.random.randint(1, 5)
        self.checked.expire()

    def deposit(self) -> None:
        """Deposit or withdraw; those with little money get some."""
        account, asset = self.random.choice(ACCOUNTS), self.random.choice(ASSETS)
        poor = self.checked.engine.balances(account)[asset].free < 2
        amount = Decimal(self.random.randint(0 if poor else -(10**9), 10**9)) / 10**8
        self.checked.deposit(account, asset, amount)

    def halt(self) -> None:
        """Halt a symbol for a moment: cancels and expiries go on, all else is refused."""
        symbol = self.random.choice(INSTRUMENTS).symbol
        self.checked.halt(symbol, halted=True)
        for call in (self.submit, self.cancel, self.outside, self.edit, self.time_passes):
            call()
            self.checked.check()
        self.checked.halt(symbol, halted=False)

    def _any_open(self) -> tuple[str, int]:
        number = self.random.choice(sorted(self.checked.open))
        return self.checked.open[number].account, number

    def kind(self) -> OrderType:
        """Return an order type, most often LIMIT."""
        return self.random.choice([*[OrderType.LIMIT] * 7, OrderType.MARKET, *OrderType])

    def request(self, kind: OrderType) -> NewOrder:
        """Return a request that is well formed most of the time."""
        random = self.random
        by_quote = kind is OrderType.MARKET and random.random() < 0.5
        tif = random.choice([*[TimeInForce.GTC] * 8, *TimeInForce])
        rarely = random.random()
        return NewOrder(
            symbol=random.choice(INSTRUMENTS).symbol if rarely > 0.01 else "D-B",
            side=random.choice(list(Side)),
            type=kind,
            time_in_force=tif,
            quantity=None if by_quote else self.quantity(),
            quote_quantity=self.quantity() if by_quote else None,
            price=self.price() if (kind in PRICED) != (rarely > 0.99) else None,
            stop_price=self.price() if kind.startswith(("STOP", "TAKE")) else None,
            post_only=random.random() < 0.05,
            client_id=self.client_id(),
            expires_at=self.checked.now + random.randint(0, 20) if tif is TimeInForce.GTD else None,
        )

    def client_id(self) -> str:
        """Return one of few client ids, or none."""
        return self.random.choice(["", "", "x", "y", "z"])

    def price(self) -> Decimal:
        """Return a price near the middle, rarely a bad one."""
        if self.random.random() < 0.02:
            return self.random.choice(BAD_PRICES)
        return MIDDLE + Decimal(self.random.randint(-3, 3)) / 10

    def quantity(self) -> Decimal:
        """Return a small quantity, rarely a bad one."""
        if self.random.random() < 0.02:
            return self.random.choice(BAD_QUANTITIES)
        return Decimal(self.random.randint(1, 300)) / 100
