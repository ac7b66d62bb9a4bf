"""Defaults that depend on another field: their values, and that none of them is stored."""

import pytest
from admission_cases import BOT, NOW, changed
from hypothesis import given
from objects import Object, valid_bots
from tradingbot_api.admission.review import KINDS, defaulted, review
from tradingbot_api.contract import BotConfig
from tradingbot_api.effective import effective, effective_values
from tradingbot_api.enforcement import default_enforcement
from tradingbot_api.exchange import Dialect, Enforcement, ExchangeName
from tradingbot_api.model import ObjectMeta
from tradingbot_api.tradingbot import TradingBotSpec

META = ObjectMeta(name="bot", namespace="default")


def spec_of(bot: Object) -> TradingBotSpec:
    spec: TradingBotSpec = KINDS["TradingBot"].spec_parser.validate_python(
        defaulted("TradingBot", bot)["spec"]
    )
    return spec


def profit_of(bot: Object) -> str:
    return effective_values(spec_of(bot)).risk_management.take_profit_percentage


@pytest.mark.parametrize(
    ("stop", "profit"),
    [
        ("2.5", "5"),
        ("0.75", "1.5"),
        ("1.10", "2.2"),
        ("0.00000001", "0.00000002"),
        ("10", "20"),
        ("50.000", "100"),
        ("99.99999999", "199.99999998"),
        ("007", "14"),
        (2.5, "5"),
        (7, "14"),
        (None, "4"),
    ],
)
def test_the_profit_target_is_twice_the_stop_without_trailing_zeros(
    stop: object, profit: str
) -> None:
    assert profit_of(changed(BOT, {"spec.riskManagement.stopLossPercentage": stop})) == profit


@pytest.mark.parametrize("profit", ["5.0", "3", "1000"])
def test_a_profit_target_that_the_user_wrote_is_kept(profit: str) -> None:
    assert profit_of(changed(BOT, {"spec.riskManagement.takeProfitPercentage": profit})) == profit


@pytest.mark.parametrize(
    ("limits", "requests"),
    [
        ({}, {"cpu": "100m", "memory": "128Mi"}),
        ({"cpu": "50m", "memory": "100Mi"}, {"cpu": "50m", "memory": "100Mi"}),
        ({"cpu": "0.05", "memory": "1e8"}, {"cpu": "0.05", "memory": "1e8"}),
        ({"cpu": 0.05, "memory": 100000000}, {"cpu": "0.05", "memory": "100000000"}),
        ({"cpu": 2, "memory": "1Gi"}, {"cpu": "100m", "memory": "128Mi"}),
        ({"cpu": "0.1", "memory": "131072Ki"}, {"cpu": "100m", "memory": "128Mi"}),
    ],
)
def test_a_request_is_the_usual_one_or_the_limit_where_that_is_smaller(
    limits: Object, requests: dict[str, str]
) -> None:
    spec = spec_of(changed(BOT, {"spec.resources.limits": limits}))

    assert effective_values(spec).resources.requests.model_dump() == requests


@pytest.mark.parametrize("written", [None, {}, {"cpu": None, "memory": None}])
def test_requests_without_a_value_are_as_if_left_out(written: object) -> None:
    spec = spec_of(changed(BOT, {"spec.resources.requests": written}))

    requests = effective_values(spec).resources.requests
    assert (requests.cpu, requests.memory) == ("100m", "128Mi")


GATEWAY = {"spec.riskManagement.enforcement": "Gateway"}


@pytest.mark.parametrize(
    ("changes", "exchange"),
    [
        (
            {},
            {
                "dialect": "Binance",
                "quoteCurrency": "USDT",
                "paperBalance": [{"asset": "USDT", "amount": "10000"}],
            },
        ),
        (
            {"spec.exchange.name": "Coinbase", "spec.mode": "Live"},
            {"dialect": "Coinbase", "quoteCurrency": "USD"},
        ),
        (
            {
                "spec.exchange.name": "Custom",
                "spec.exchange.dialect": "Coinbase",
                "spec.exchange.quoteCurrency": "EUR",
                "spec.exchange.paperBalance": [{"asset": "EUR", "amount": 7}],
            },
            {
                "dialect": "Coinbase",
                "quoteCurrency": "EUR",
                "paperBalance": [{"asset": "EUR", "amount": "7"}],
            },
        ),
    ],
)
def test_a_gateway_knows_the_exchange_and_what_its_bot_has(
    changes: Object, exchange: Object
) -> None:
    spec = spec_of(changed(BOT, {**GATEWAY, **changes}))

    values = effective_values(spec)

    assert values.risk_management.enforcement == "Gateway"
    assert values.exchange is not None
    assert values.exchange.model_dump(by_alias=True, exclude_none=True) == exchange
    config = BotConfig.of(effective(spec), META).content()
    assert config["exchange"].items() >= exchange.items()
    assert "enforcement" not in config["risk"]


def test_a_balance_that_live_does_not_use_restarts_no_bot() -> None:
    balance = {"spec.exchange.paperBalance": [{"asset": "USDT", "amount": "7"}]}
    live = changed(BOT, {**GATEWAY, "spec.mode": "Live"})

    with_balance, without = (
        BotConfig.of(effective(spec_of(bot)), META) for bot in (changed(live, balance), live)
    )

    assert with_balance == without


@pytest.mark.parametrize("exchange", ["Coinbase", "Custom"])
def test_without_a_word_a_bot_of_another_exchange_keeps_its_limits_itself(exchange: str) -> None:
    spec = spec_of(changed(BOT, {"spec.exchange.name": exchange}))

    assert effective_values(spec).risk_management.enforcement == "Bot"
    assert effective_values(spec).exchange is None
    assert set(BotConfig.of(effective(spec), META).content()["exchange"]) == {"name"}


def test_without_a_word_a_bot_of_binance_is_the_bot_that_asks_for_a_gateway() -> None:
    silent, asking = (effective(spec_of(bot)) for bot in (BOT, changed(BOT, GATEWAY)))

    assert silent == asking
    assert effective_values(silent).risk_management.enforcement == "Gateway"


@pytest.mark.parametrize(
    ("name", "dialect", "default"),
    [
        (ExchangeName.BINANCE, None, Enforcement.GATEWAY),
        (ExchangeName.BINANCE, Dialect.BINANCE, Enforcement.GATEWAY),
        (ExchangeName.COINBASE, None, Enforcement.BOT),
        (ExchangeName.CUSTOM, None, Enforcement.BOT),
        (ExchangeName.CUSTOM, Dialect.BINANCE, Enforcement.BOT),
    ],
)
def test_a_gateway_is_the_default_of_the_exchange_that_its_dialect_is_named_after(
    name: ExchangeName, dialect: Dialect | None, default: Enforcement
) -> None:
    assert default_enforcement(name, dialect) is default


@given(valid_bots)
def test_an_effective_spec_is_complete_and_stays_as_it_is(bot: Object) -> None:
    spec = spec_of(bot)
    whole = effective(spec)

    assert effective(whole) == whole
    assert effective_values(whole) == effective_values(spec)
    requests, profit = whole.resources.requests, whole.risk_management.take_profit_percentage
    assert requests is not None
    assert None not in (requests.cpu, requests.memory, profit)


@given(valid_bots)
def test_a_bot_with_its_effective_values_written_out_is_admitted_and_is_the_same_bot(
    bot: Object,
) -> None:
    """So an object that an earlier version has stored, with these values, is the same bot."""
    if not review("TradingBot", defaulted("TradingBot", bot), now=NOW).allowed:
        return  # requests that the user wrote above the limits
    whole = effective(spec_of(bot))
    stored = whole.model_dump(by_alias=True, mode="json", exclude_none=True)
    written = {**bot, "spec": stored}

    assert review("TradingBot", defaulted("TradingBot", written), now=NOW).allowed
    assert effective(spec_of(written)) == whole
