"""Who keeps a bot's limits: the default of `riskManagement.enforcement`, and what follows from it.

Values of `spec.exchange` that are left out follow from the dialect. None of them is stored.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from tradingbot_api.exchange import Dialect, Enforcement, Exchange, ExchangeName, PaperBalance
from tradingbot_api.tradingbot import Mode, TradingBotSpec

GATEWAY_BY_DEFAULT = frozenset({Dialect.BINANCE})
"""Dialects of exchanges whose bots get a gateway unless they say otherwise."""

PAPER_AMOUNT = "10000"
"""Of the quote currency, in mode Paper."""

_DIALECTS = {
    ExchangeName.BINANCE: Dialect.BINANCE,
    ExchangeName.COINBASE: Dialect.COINBASE,
}
_QUOTE_CURRENCIES = {Dialect.BINANCE: "USDT", Dialect.COINBASE: "USD"}


class Named(Protocol):
    """The exchange of a spec or of bot.json, as far as the rest follows from it."""

    @property
    def name(self) -> ExchangeName:
        """The exchange."""

    @property
    def dialect(self) -> Dialect | None:
        """The API that it speaks, if that is said."""

    @property
    def quote_currency(self) -> str | None:
        """The currency of the limits, if that is said."""

    @property
    def paper_balance(self) -> Sequence[PaperBalance] | None:
        """The account in mode Paper, if that is said."""


def default_enforcement(name: ExchangeName, dialect: Dialect | None) -> Enforcement:
    """Return who keeps the limits of a bot that does not say it.

    A Custom exchange with a dialect only speaks like the exchange that the dialect is named after:
    its users ask for the gateway.
    """
    own = _DIALECTS.get(name)
    if own in GATEWAY_BY_DEFAULT and dialect in {None, own}:
        return Enforcement.GATEWAY
    return Enforcement.BOT


def enforcement_of(spec: TradingBotSpec) -> Enforcement:
    """Return who keeps the limits of a bot."""
    exchange, chosen = spec.exchange, spec.risk_management.enforcement
    return chosen or default_enforcement(exchange.name, exchange.dialect)


def has_gateway(spec: TradingBotSpec) -> bool:
    """Return whether a gateway in the bot's pod keeps the limits."""
    return enforcement_of(spec) is Enforcement.GATEWAY


def dialect_of(exchange: Named) -> Dialect | None:
    """Return the API that an exchange speaks; None if it is not known."""
    return exchange.dialect or _DIALECTS.get(exchange.name)


def quote_currency_of(exchange: Named) -> str | None:
    """Return the currency of a bot's limits; None if nothing names it."""
    dialect = dialect_of(exchange)
    return exchange.quote_currency or (None if dialect is None else _QUOTE_CURRENCIES[dialect])


def paper_balance_of(exchange: Named, currency: str) -> dict[str, Decimal]:
    """Return the account in mode Paper at first, by asset. `currency` is that of the limits."""
    said = exchange.paper_balance
    if said is None:
        return {currency: Decimal(PAPER_AMOUNT)}
    return {each.asset: Decimal(each.amount) for each in said}


def effective_exchange(spec: TradingBotSpec) -> Exchange:
    """Return the exchange with the values that a gateway needs; as it is if there is none."""
    exchange = spec.exchange
    if not has_gateway(spec):
        return exchange
    currency, balance = quote_currency_of(exchange), exchange.paper_balance
    if balance is None and spec.mode is Mode.PAPER and currency is not None:
        balance = [PaperBalance(asset=currency, amount=PAPER_AMOUNT)]
    return exchange.model_copy(
        update={
            "dialect": dialect_of(exchange),
            "quote_currency": currency,
            "paper_balance": balance,
        }
    )
