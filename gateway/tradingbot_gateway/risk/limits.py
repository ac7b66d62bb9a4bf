"""The limits of a bot, as numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from tradingbot_api.contract import BotRisk
from tradingbot_api.trading_day import Calendar

DEFAULT_COLLAR = Decimal(5)
DEFAULT_ORDERS_PER_MINUTE = 60


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
    price_collar_percentage: Decimal = DEFAULT_COLLAR
    max_orders_per_minute: int = DEFAULT_ORDERS_PER_MINUTE
    allowed_symbols: frozenset[str] | None = None
    """None: all symbols whose quote asset is `money`."""

    @classmethod
    def of(
        cls,
        risk: BotRisk,
        *,
        money: str,
        price_collar_percentage: Decimal = DEFAULT_COLLAR,
        max_orders_per_minute: int = DEFAULT_ORDERS_PER_MINUTE,
        allowed_symbols: Iterable[str] | None = None,
    ) -> "Limits":
        """Read the decimals of bot.json."""
        return cls(
            money=money,
            max_position_size=Decimal(risk.max_position_size),
            max_open_positions=risk.max_open_positions,
            daily_loss_limit=Decimal(risk.daily_loss_limit),
            stop_loss_percentage=Decimal(risk.stop_loss_percentage),
            take_profit_percentage=Decimal(risk.take_profit_percentage),
            price_collar_percentage=price_collar_percentage,
            max_orders_per_minute=max_orders_per_minute,
            allowed_symbols=None if allowed_symbols is None else frozenset(allowed_symbols),
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
