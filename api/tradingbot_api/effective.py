"""Defaults that depend on another field: computed where they are used, and never stored.

A stored default would be indistinguishable from a value that a user wrote, and would outlive the
value that it was computed from. Example: a file with a memory limit of 256Mi is applied, then one
with 64Mi. A stored request of 128Mi would make the second file invalid, though nobody wrote it.
"""

from decimal import Decimal

from tradingbot_api.enforcement import effective_exchange, enforcement_of, has_gateway
from tradingbot_api.quantity import parse_quantity, plain_text
from tradingbot_api.tradingbot import (
    DEFAULT_REQUEST_CPU,
    DEFAULT_REQUEST_MEMORY,
    MAX_TAKE_PROFIT,
    Mode,
    ResourceRequests,
    TradingBotSpec,
)
from tradingbot_api.tradingbot_status import (
    Effective,
    EffectiveExchange,
    EffectiveRequests,
    EffectiveResources,
    EffectiveRiskManagement,
)


def effective_values(spec: TradingBotSpec) -> Effective:
    """Return the values of these fields: those that the user wrote, or their defaults."""
    risk, limits = spec.risk_management, spec.resources.limits
    requests = spec.resources.requests or ResourceRequests()
    profit = risk.take_profit_percentage or _profit_target(risk.stop_loss_percentage)
    whole = Effective(
        riskManagement=EffectiveRiskManagement(
            takeProfitPercentage=profit, enforcement=enforcement_of(spec).value
        ),
        resources=EffectiveResources(
            requests=EffectiveRequests(
                cpu=requests.cpu or _request(DEFAULT_REQUEST_CPU, limits.cpu),
                memory=requests.memory or _request(DEFAULT_REQUEST_MEMORY, limits.memory),
            )
        ),
    )
    return whole.model_copy(update={"exchange": _exchange(spec)}) if has_gateway(spec) else whole


def effective(spec: TradingBotSpec) -> TradingBotSpec:
    """Return a valid spec with the effective value of each of these fields."""
    values = effective_values(spec)
    profit, requests = values.risk_management.take_profit_percentage, values.resources.requests
    risk = spec.risk_management.model_copy(
        update={"take_profit_percentage": profit, "enforcement": enforcement_of(spec)}
    )
    resources = spec.resources.model_copy(
        update={"requests": ResourceRequests(cpu=requests.cpu, memory=requests.memory)}
    )
    return spec.model_copy(
        update={
            "exchange": effective_exchange(spec),
            "risk_management": risk,
            "resources": resources,
        }
    )


def _exchange(spec: TradingBotSpec) -> EffectiveExchange:
    """Return the values that a gateway needs."""
    unused = {"paper_balance"} if spec.mode is Mode.LIVE else set()
    values = effective_exchange(spec).model_dump(
        include=set(EffectiveExchange.model_fields) - unused,
        mode="json",
        by_alias=True,
        exclude_none=True,
    )
    return EffectiveExchange.model_validate(values)


def _profit_target(stop: str) -> str:
    """Return twice the stop, as plain decimal text."""
    return plain_text(min(2 * Decimal(stop), MAX_TAKE_PROFIT))


def _request(usual: str, limit: str) -> str:
    """Return the usual request, or the limit if that is a smaller quantity."""
    number, usual_number = parse_quantity(limit), parse_quantity(usual)
    if number is None or usual_number is None:
        raise ValueError(f"not a quantity: {limit!r}")
    return limit if number < usual_number else usual
