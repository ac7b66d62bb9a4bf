"""Dollar-cost averaging: buy for the same amount at fixed times, and keep the position.

A buy is due at each multiple of the interval since 1970. It has been made once any order of this
bot has bought since then, so a restart neither repeats nor moves one. A buy that was filled in part
is not completed, and a missed one is made up only until the next one is due.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from tradingbot_api.strategies import DcaParameters
from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.needs import Needs, quote_asset
from tradingbot_strategies.view import Bought, Style, View, Wish

SLIPPAGE = Decimal("0.002")
"""How far above the ask a buy may be filled, as a fraction."""


def needs(parameters: DcaParameters) -> Needs:
    """Return what to read for `decide`."""
    return Needs(symbols=(parameters.symbol,), money=quote_asset(parameters.symbol))


def decide(view: View, parameters: DcaParameters) -> Sequence[Wish]:
    """Return the buy that is due, if any."""
    market, quote = view.markets[parameters.symbol], view.quotes[parameters.symbol]
    bought = view.bought.get(parameters.symbol, Bought())
    interval = parameters.interval // timedelta(milliseconds=1)
    due = view.now - view.now % interval
    if bought.last >= due:
        return ()
    if parameters.max_price is not None and quote.ask > parameters.max_price:
        return ()
    limit = market.price_up(quote.ask * (1 + SLIPPAGE))
    if parameters.max_price is not None:
        limit = min(limit, market.price_down(parameters.max_price))
    amount = min(parameters.amount_per_buy, parameters.max_total - bought.spent)
    quantity = market.quantity_down(amount / limit)
    if not market.accepts(quantity, quote.ask):
        return ()
    return (
        Wish(
            symbol=parameters.symbol,
            side=Side.BUY,
            quantity=quantity,
            price=limit,
            style=Style.TAKE,
        ),
    )
