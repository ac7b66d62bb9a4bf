"""What positions are worth, and the profit of the day, as docs/bot-contract.md defines them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from tradingbot_api.contract import RiskReport
from tradingbot_api.gateway_state import GatewayReason
from tradingbot_exchange.engine.types import Side

from tradingbot_gateway.risk.day import as_instant
from tradingbot_gateway.risk.ledger import Ledger
from tradingbot_gateway.risk.orders import Unit
from tradingbot_gateway.risk.types import ZERO, Market, Quote, assets_of

ONE = Decimal(1)
REPORTED_UNIT = Decimal("0.00000001")
ENDLESS = Decimal("1e15")
"""An amount, or a price, of which nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of a report, exact, in money."""

    trading_day: date
    day_pnl: Decimal
    realized: Decimal
    """Since the day began, net of fees."""
    unrealized: Decimal
    """Now, of all positions, since they were entered."""
    open_positions: int
    exposure: Decimal
    time: int

    def report(self, config_hash: str) -> RiskReport:
        """Return the answer to `GET /risk`, with 8 decimals: no loss looks smaller than it is."""
        return RiskReport.model_validate(
            {
                "tradingDay": self.trading_day,
                "dayPnL": self.day_pnl.quantize(REPORTED_UNIT, ROUND_FLOOR),
                "openPositions": self.open_positions,
                "exposure": self.exposure.quantize(REPORTED_UNIT, ROUND_CEILING),
                "configHash": config_hash,
                "time": as_instant(self.time),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The figures can't be computed: `GET /risk` answers 503, and nothing may be opened."""

    reason: str
    kind: GatewayReason = GatewayReason.FIGURES_UNKNOWN


@dataclass(frozen=True, slots=True)
class Prices:
    """The quotes of a moment, and what they say of assets in money."""

    money: str
    markets: Mapping[str, Market]
    quotes: Mapping[str, Quote]
    now: int

    def quote(self, symbol: str) -> Quote | None:
        """Return the quote of a symbol, if it is fresh."""
        quote = self.quotes.get(symbol)
        return quote if quote is not None and quote.fresh(self.now) else None

    def symbol(self, asset: str) -> str:
        """Return the symbol in which an asset is valued."""
        return f"{asset}-{self.money}"

    def of(self, asset: str) -> Quote | None:
        """Return the quote of an asset in money, if it is fresh."""
        return self.quote(self.symbol(asset))

    def is_dust(self, asset: str, quantity: Decimal) -> bool:
        """Whether the exchange would not let anybody trade so little. False if it is not known."""
        market, quote = self.markets.get(self.symbol(asset)), self.of(asset)
        if market is None or quote is None:
            return False
        return not market.accepts(market.lots_down(abs(quantity)), quote.bid)


@dataclass(frozen=True, slots=True)
class Flow:
    """What an order may still bring of an asset (positive), or take."""

    asset: str
    quantity: Decimal
    unit: Unit


def flows(unit: Unit, money: str, prices: Prices) -> list[Flow]:
    """Return what a unit may move of each asset that is not money.

    Of a quote asset that is not money, the amount is the quantity at the worse of limit and ask. An
    old quote is good enough here, because an entry needs a young one anyway.
    """
    base, quote_asset = assets_of(unit.symbol)
    sign = 1 if unit.side is Side.BUY else -1
    moved = [Flow(base, sign * unit.remaining, unit)]
    if quote_asset != money:
        quote = prices.quotes.get(unit.symbol)
        if quote is not None and quote.asks:
            price = max(unit.price, quote.ask)
        else:
            price = unit.price or ENDLESS
        moved.append(Flow(quote_asset, -sign * max(unit.remaining * price, unit.budget), unit))
    return moved


def worth(flow: Flow, prices: Prices) -> Decimal | None:
    """Return the value of a flow at the worse of its limit and the mark; None: no fresh quote."""
    unit = flow.unit
    base, quote_asset = assets_of(unit.symbol)
    mark, through = prices.of(flow.asset), None
    if quote_asset != prices.money:
        through = prices.of(quote_asset)
        if through is None or prices.quote(unit.symbol) is None:
            return None
    if mark is None:
        return None
    amount, rate = abs(flow.quantity), ONE if through is None else through.ask
    if flow.asset != base:
        return amount * mark.ask
    return max(amount * max(mark.ask, unit.price * rate), unit.budget * rate)


def open_assets(ledger: Ledger, prices: Prices) -> set[str]:
    """Return the assets with a position, or with orders that may open one. Dust does not count."""
    opened = {
        asset
        for asset, holding in ledger.holdings.by_asset.items()
        if not prices.is_dust(asset, holding.quantity)
    }
    reach: dict[str, tuple[Decimal, Decimal]] = {}
    for unit in ledger.units():
        for flow in flows(unit, ledger.money, prices):
            low, high = reach.get(flow.asset, (ZERO, ZERO))
            reach[flow.asset] = min(low, low + flow.quantity), max(high, high + flow.quantity)
    for asset, (low, high) in reach.items():
        held = ledger.held(asset)
        if (high and held + high > 0) or (low and held + low < 0):
            opened.add(asset)
    return opened


def value_if_filled(
    ledger: Ledger, prices: Prices, asset: str, sign: int, *, also: Iterable[Unit] = ()
) -> Decimal | None:
    """Return what a position is worth if all that extends it fills; the other side does not.

    `sign` is 1 for purchases, -1 for sales. None without a fresh price. `also` counts as open.
    """
    mark = prices.of(asset)
    if mark is None:
        return None
    total = sign * ledger.held(asset) * mark.ask
    for unit in (*ledger.units(), *also):
        for flow in flows(unit, ledger.money, prices):
            if flow.asset == asset and sign * flow.quantity > 0:
                value = worth(flow, prices)
                if value is None:
                    return None
                total += value
    return total


def largest_value(ledger: Ledger, prices: Prices) -> Decimal | None:
    """Return what the largest position could be worth, by the rule of `maxPositionSize`.

    None without a fresh price of each asset.
    """
    assets = set(ledger.holdings.by_asset)
    for unit in ledger.units():
        assets |= {flow.asset for flow in flows(unit, ledger.money, prices)}
    values = [
        value_if_filled(ledger, prices, asset, sign) for asset in sorted(assets) for sign in (1, -1)
    ]
    known = [value for value in values if value is not None]
    return max(known, default=ZERO) if len(known) == len(values) else None


def figures(ledger: Ledger, prices: Prices) -> Figures | Unknown:
    """Return the figures of this moment, or why they are unknown."""
    day = ledger.day
    if day is None:
        return Unknown(reason="no trading day has begun")
    for tracked in ledger.open_orders():
        if tracked.missing:
            return Unknown(reason=f"fills of order {tracked.order.client_id} have not arrived yet")
    if missing := day.missing_marks():
        return Unknown(reason=f"the price of {missing[0]} when the day began is not known")
    if day.unpriced:
        return Unknown(reason=f"the price of a fee in {day.unpriced[0].asset} is not known")
    value = cost = exposure = ZERO
    positions = 0
    for asset, holding in ledger.holdings.by_asset.items():
        quote = prices.of(asset)
        if quote is None:
            reason = f"no price of {prices.symbol(asset)} is younger than 30 s"
            return Unknown(reason=reason, kind=GatewayReason.PRICES_STALE)
        worth_now = holding.quantity * (quote.bid if holding.quantity > 0 else quote.ask)
        value += worth_now
        cost += holding.cost
        exposure += abs(worth_now)
        positions += not prices.is_dust(asset, holding.quantity)
    start = start_cost = ZERO
    for asset, holding in day.at_start.by_asset.items():
        start += holding.quantity * day.mark(asset)
        start_cost += holding.cost
    day_pnl = day.cash + value - start
    unrealized = value - cost
    return Figures(
        trading_day=day.day,
        day_pnl=day_pnl,
        realized=day_pnl - unrealized + (start - start_cost),
        unrealized=unrealized,
        open_positions=positions,
        exposure=exposure,
        time=prices.now,
    )
