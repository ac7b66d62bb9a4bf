"""What positions are worth, and the profit of the day, as docs/bot-contract.md defines them."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tradingbot_api.contract import RiskReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of a report, exact, in money."""

    trading_day: date
    day_pnl: Decimal
    realized: Decimal
    unrealized: Decimal
    open_positions: int
    exposure: Decimal
    time: int

    def report(self, config_hash: str) -> RiskReport:
        """Return the answer to `GET /risk`: 8 decimals, a profit rounded down."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The figures can't be computed: `GET /risk` answers 503, and nothing may be opened."""

    reason: str
