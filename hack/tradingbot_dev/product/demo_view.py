"""The state of the demo at one moment, read from the API server and the exchanges, and as text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tradingbot_dev.product.demo import Demo
from tradingbot_dev.product.exchanges import SimulatedExchange

HEADINGS = ("BOT", "STRATEGY", "EXCHANGE", "PHASE", "DAY-PNL", "LIMIT", "EXPOSURE")


@dataclass(frozen=True)
class BotLine:
    """One bot, as its status has it. `day_pnl` and `exposure` are empty if it has not reported."""

    name: str
    strategy: str
    exchange: str
    phase: str
    day_pnl: str
    limit: str
    exposure: str

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            *(self.name, self.strategy, self.exchange, self.phase),
            *(money(self.day_pnl), f"-{self.limit}", money(self.exposure)),
        )


@dataclass(frozen=True)
class Halt:
    """A halted bot: why, until when, and what it has at the exchange."""

    bot: str
    reason: str
    since: str
    resumes_at: str
    event: str
    """The event of the halt, empty if there is none (any more)."""
    orders: tuple[str, ...]
    """What rests at the exchange."""
    account: tuple[str, ...]
    """The exchange's own statement."""


@dataclass(frozen=True)
class View:
    """The demo at one moment."""

    bots: tuple[BotLine, ...]
    prices: tuple[str, ...]
    fallen: bool
    """Whether the market is in a crash."""
    halts: tuple[Halt, ...]


def observe(demo: Demo) -> View:
    """Read the state of the demo. Raises LocalClusterError if an exchange does not run."""
    bots = demo.stored()
    exchanges = demo.exchanges
    return View(
        bots=tuple(map(bot_line, bots)),
        prices=tuple(map(_prices, exchanges.all)),
        fallen=any(exchange.has_crashed() for exchange in exchanges.all),
        halts=tuple(
            _halt(demo, bot) for bot in bots if "haltedSince" in bot["status"].get("risk", {})
        ),
    )


def bot_line(bot: Mapping[str, Any]) -> BotLine:
    """Return the line of a stored TradingBot."""
    spec, risk = bot["spec"], bot["status"].get("risk", {})
    return BotLine(
        name=bot["metadata"]["name"],
        strategy=spec["strategy"]["type"],
        exchange=spec["exchange"]["name"],
        phase=bot["status"].get("phase", ""),
        day_pnl=risk.get("dayPnL", ""),
        limit=str(spec["riskManagement"]["dailyLossLimit"]),
        exposure=risk.get("exposure", ""),
    )


def money(text: str) -> str:
    """Return a decimal with two places, or an empty text."""
    return f"{Decimal(text):.2f}" if text else ""


def _halt(demo: Demo, bot: Mapping[str, Any]) -> Halt:
    name, risk = bot["metadata"]["name"], bot["status"]["risk"]
    exchange = demo.exchanges.of(name)
    events = [event for event in demo.events(name) if event.get("reason") == "Halted"]
    return Halt(
        bot=name,
        reason=risk.get("haltReason", ""),
        since=risk["haltedSince"],
        resumes_at=risk.get("resumesAt", ""),
        event=f"{events[-1]['type']}  Halted  {events[-1]['message']}" if events else "",
        orders=tuple(order_lines(exchange.orders(name))),
        account=tuple(account_lines(exchange.statement(name))),
    )


def order_lines(orders: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Yield a line for each order, and one for the two orders of a list."""
    lists: dict[object, list[Mapping[str, Any]]] = {}
    for order in orders:
        key = order["id"] if order["listId"] is None else ("list", order["listId"])
        lists.setdefault(key, []).append(order)
    for legs in lists.values():
        first = legs[0]
        conditions = " or ".join(_condition(leg) for leg in legs)
        yield f"{first['side']} {first['quantity']} {first['symbol']} {conditions}"


def _condition(order: Mapping[str, Any]) -> str:
    if order["stopPrice"] is None:
        return f"at {order['price']}"
    return f"if the price reaches {order['stopPrice']}"


def account_lines(statement: Mapping[str, Any]) -> Iterable[str]:
    """Yield a line for each symbol with a position, then one for the profit in each currency."""
    for symbol, line in statement["symbols"].items():
        if Decimal(line["position"]):
            yield (
                f"{symbol}: {line['position']} bought at {money(line['averagePrice'])},"
                f" worth {line['mark']} now"
            )
    for asset, realized in statement["realizedPnL"].items():
        unrealized = Decimal(statement["unrealizedPnL"].get(asset, "0"))
        yield (
            f"profit in {asset}: {money(realized)} realized, {unrealized:.2f} unrealized,"
            f" {Decimal(realized) + unrealized:.2f} in all"
        )


def _prices(exchange: SimulatedExchange) -> str:
    market = exchange.market()
    prices = ", ".join(
        f"{symbol} {line['bid']}"
        for symbol, line in market["symbols"].items()
        if symbol.endswith(exchange.money)
    )
    return f"{exchange.dialect}: {prices} ({market['regime']})"


def halt_lines(halt: Halt) -> Sequence[str]:
    """Return what is to be said about a halt."""
    return [
        halt.reason,
        *([f"event: {halt.event}"] if halt.event else []),
        f"halted since {halt.since}; the next trading day resumes it, at {halt.resumes_at}",
        "the exchange's statement:",
        *(f"  {line}" for line in halt.account),
        "left at the exchange, without the bot:" if halt.orders else "no order is left",
        *(f"  {line}" for line in halt.orders),
    ]
