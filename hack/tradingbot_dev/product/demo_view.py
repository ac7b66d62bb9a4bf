"""The state of the demo at one moment, read from the API server and the exchanges, and as text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from tradingbot_cli.orders.entries import Entry, Kind
from tradingbot_cli.orders.table import table
from tradingbot_cli.terminal import Paint

from tradingbot_dev.product.demo import BOT, Demo
from tradingbot_dev.product.exchanges import SimulatedExchange

HEADINGS = ("BOT", "STRATEGY", "EXCHANGE", "ENFORCEMENT", "PHASE", "DAY-PNL", "LIMIT", "EXPOSURE")


@dataclass(frozen=True)
class BotLine:
    """One bot, as its status has it. `day_pnl` and `exposure` are empty if it has not reported."""

    name: str
    strategy: str
    exchange: str
    enforcement: str
    """Who keeps the limits: `Gateway`, or the `Bot` itself."""
    phase: str
    day_pnl: str
    limit: str
    exposure: str

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            *(self.name, self.strategy, self.exchange, self.enforcement, self.phase),
            *(money(self.day_pnl), f"-{self.limit}", money(self.exposure)),
        )


@dataclass(frozen=True)
class Refusal:
    """The newest order of a bot that its gateway has refused."""

    bot: str
    reason: str
    logged: tuple[str, ...]
    """The last lines in the bot's own log."""
    row: str
    """The line of `tradingbot orders`."""


@dataclass(frozen=True)
class Halt:
    """A halted bot: why, until when, and what became of its account."""

    bot: str
    reason: str
    since: str
    resumes_at: str
    event: str
    """The event of the halt, empty if there is none (any more)."""
    account: tuple[str, ...]
    """What the gateway did last, or the exchange's statement and what rests there."""


@dataclass(frozen=True)
class View:
    """The demo at one moment."""

    bots: tuple[BotLine, ...]
    prices: tuple[str, ...]
    fallen: bool
    """Whether the market is in a crash."""
    refusals: tuple[Refusal, ...]
    halts: tuple[Halt, ...]


def observe(demo: Demo, *, decisions: Mapping[str, Sequence[Entry]] = MappingProxyType({})) -> View:
    """Read the state of the demo. Raises LocalClusterError if an exchange does not run.

    `decisions` are those of the gateways of halted bots, by bot: their logs end with their pods.
    """
    bots = demo.stored()
    exchanges = demo.exchanges
    return View(
        bots=tuple(map(bot_line, bots)),
        prices=tuple(map(_prices, exchanges.all)),
        fallen=any(exchange.has_crashed() for exchange in exchanges.all),
        refusals=tuple(
            refusal for bot in bots if has_gateway(bot) for refusal in _refusals(demo, bot)
        ),
        halts=tuple(
            _halt(demo, bot, decisions.get(bot["metadata"]["name"], ()))
            for bot in bots
            if "haltedSince" in bot["status"].get("risk", {})
        ),
    )


def has_gateway(bot: Mapping[str, Any]) -> bool:
    """Return whether a gateway keeps the limits of a bot. The demo's bots all say it."""
    return bool(bot["spec"]["riskManagement"].get("enforcement") == "Gateway")


def bot_line(bot: Mapping[str, Any]) -> BotLine:
    """Return the line of a stored TradingBot."""
    spec, risk = bot["spec"], bot["status"].get("risk", {})
    return BotLine(
        name=bot["metadata"]["name"],
        strategy=spec["strategy"]["type"],
        exchange=spec["exchange"]["name"],
        enforcement="Gateway" if has_gateway(bot) else "Bot",
        phase=bot["status"].get("phase", ""),
        day_pnl=risk.get("dayPnL", ""),
        limit=str(spec["riskManagement"]["dailyLossLimit"]),
        exposure=risk.get("exposure", ""),
    )


def money(text: str) -> str:
    """Return a decimal with two places, or an empty text."""
    return f"{Decimal(text):.2f}" if text else ""


def _refusals(demo: Demo, bot: Mapping[str, Any]) -> Iterable[Refusal]:
    """Yield the newest refusal of a bot's gateway, if there is one."""
    name = bot["metadata"]["name"]
    refused = [entry for entry in demo.decisions(name) if entry.kind is Kind.REFUSALS]
    if refused:
        logged = demo.log(name, BOT, lines=2)
        yield Refusal(
            bot=name,
            reason=refused[-1].text("reason"),
            logged=tuple(line.decode(errors="replace") for line in logged),
            row=decision_rows(refused[-1:])[1],
        )


def _halt(demo: Demo, bot: Mapping[str, Any], decisions: Sequence[Entry]) -> Halt:
    name, risk = bot["metadata"]["name"], bot["status"]["risk"]
    exchange = demo.exchanges.of(name)
    events = [event for event in demo.events(name) if event.get("reason") == "Halted"]
    return Halt(
        bot=name,
        reason=risk.get("haltReason", ""),
        since=risk["haltedSince"],
        resumes_at=risk.get("resumesAt", ""),
        event=f"{events[-1]['type']}  Halted  {events[-1]['message']}" if events else "",
        account=tuple(
            gateway_lines(name, decisions)
            if has_gateway(bot)
            else exchange_lines(exchange.statement(name), exchange.orders(name))
        ),
    )


def gateway_lines(bot: str, decisions: Sequence[Entry]) -> Iterable[str]:
    """Yield what the gateway of a halted bot did last."""
    if decisions:
        yield f"the last fills and refusals of its gateway, as in tradingbot orders {bot}:"
        yield from (f"  {row}" for row in decision_rows(decisions))
    yield "its account of mode Paper was in the gateway, and ended with its pod"


def decision_rows(decisions: Iterable[Entry]) -> list[str]:
    """Return the heading and the rows that `tradingbot orders` prints."""
    return list(table(decisions, paint=Paint(color=False)))


def exchange_lines(
    statement: Mapping[str, Any], orders: Sequence[Mapping[str, Any]]
) -> Iterable[str]:
    """Yield what a halted bot without a gateway has at the exchange."""
    yield "the exchange's statement:"
    yield from (f"  {line}" for line in account_lines(statement))
    yield "left at the exchange, without the bot:" if orders else "no order is left"
    yield from (f"  {line}" for line in order_lines(orders))


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
        *halt.account,
    ]
