"""What ccxt makes of each fault of a request that places an order."""

from dataclasses import dataclass, field
from typing import Any

import ccxt

from conftest import Dialect


@dataclass(frozen=True)
class Case:
    """A fault, and what ccxt raises for it at each dialect. None: it raises nothing."""

    name: str
    fault: dict[str, Any]
    binance: type[BaseException] | None
    coinbase: type[BaseException] | None
    orders: int = 0
    """Open orders that the one request leaves at the exchange."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers that the user finds in `last_response_headers`, in lower case."""

    def raised(self, dialect: Dialect) -> type[BaseException] | None:
        return self.binance if dialect.name == "binance" else self.coinbase


def error(status: int, binance: type, coinbase: type, **more: Any) -> Case:
    fault = {"type": "server-error", "status": status, **more}
    executed = bool(more.get("executed"))
    name = f"server-error {status}" + (" executed" if executed else "")
    return Case(name, fault, binance, coinbase, orders=int(executed))


def refusal(reason: str, binance: type, coinbase: type) -> Case:
    return Case(f"reject {reason}", {"type": "reject", "reason": reason}, binance, coinbase)


CASES = (
    error(500, ccxt.OperationFailed, ccxt.ExchangeError),
    error(502, ccxt.ExchangeNotAvailable, ccxt.ExchangeError),
    error(503, ccxt.ExchangeError, ccxt.ExchangeNotAvailable),
    error(504, ccxt.RequestTimeout, ccxt.ExchangeError),
    error(500, ccxt.OperationFailed, ccxt.ExchangeError, executed=True),
    Case(
        "rate-limit",
        {"type": "rate-limit", "retryAfter": 7},
        ccxt.DDoSProtection,
        ccxt.RateLimitExceeded,
        headers={"retry-after": "7"},
    ),
    Case(
        "ban",
        {"type": "ban", "retryAfter": 130},
        ccxt.DDoSProtection,
        ccxt.RateLimitExceeded,
        headers={"retry-after": "130"},
    ),
    Case("drop-request", {"type": "drop-request"}, ccxt.NetworkError, ccxt.NetworkError),
    Case("lose-answer", {"type": "lose-answer"}, ccxt.NetworkError, ccxt.NetworkError, orders=1),
    Case("double-request", {"type": "double-request"}, None, None, orders=1),
    Case("double-answer", {"type": "double-answer"}, None, None, orders=1),
    Case("latency", {"type": "latency", "delay": "300ms", "times": 1}, None, None, orders=1),
    refusal("INSUFFICIENT_BALANCE", ccxt.InsufficientFunds, ccxt.InsufficientFunds),
    refusal("WOULD_TRIGGER", ccxt.OrderImmediatelyFillable, ccxt.InvalidOrder),
    refusal("SYMBOL_HALTED", ccxt.MarketClosed, ccxt.ExchangeError),
    refusal("DUPLICATE_CLIENT_ID", ccxt.InvalidOrder, ccxt.ExchangeError),
    refusal("MIN_NOTIONAL", ccxt.BadRequest, ccxt.ExchangeError),
    refusal("QUANTITY_STEP", ccxt.InvalidOrder, ccxt.ExchangeError),
    refusal("UNKNOWN_SYMBOL", ccxt.BadSymbol, ccxt.ExchangeError),
)
