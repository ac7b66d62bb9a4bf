"""The limits of a bot, as numbers."""

from dataclasses import dataclass
from decimal import Decimal

from tradingbot_api.contract import BotRisk
from tradingbot_api.trading_day import Calendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`risk` of bot.json. Percentages are in percent, money is in `money`."""

    money: str
    """The quote currency of all limits and figures, such as `USDT`."""
    max_position_size: Decimal
    max_open_positions: int
    daily_loss_limit: Decimal
    stop_loss_percentage: Decimal
    take_profit_percentage: Decimal
    price_collar_percentage: Decimal
    max_orders_per_minute: int
    allowed_symbols: frozenset[str] | None = None
    """None: all symbols whose quote asset is `money`."""

    @classmethod
    def of(cls, risk: BotRisk, *, money: str) -> "Limits":
        """Read the decimals of bot.json."""
        symbols = risk.allowed_symbols
        return cls(
            money=money,
            max_position_size=Decimal(risk.max_position_size),
            max_open_positions=risk.max_open_positions,
            daily_loss_limit=Decimal(risk.daily_loss_limit),
            stop_loss_percentage=Decimal(risk.stop_loss_percentage),
            take_profit_percentage=Decimal(risk.take_profit_percentage),
            price_collar_percentage=Decimal(risk.price_collar_percentage),
            max_orders_per_minute=risk.max_orders_per_minute,
            allowed_symbols=None if symbols is None else frozenset(symbols),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A whole bot.json, as far as the gateway enforces it."""

    limits: Limits
    calendar: Calendar
    """`schedule` of bot.json: where trading days begin."""
    halted_until: int | None = None
    closed: str | None = None
    """Why no position may be opened now, such as "the trading window ends at 17:00"; or None. Open
    entry orders are cancelled while it is set."""
