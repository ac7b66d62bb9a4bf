"""The typed parameters of the built-in strategies: what is read, what is refused, and in which
words."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tradingbot_api.credentials import detect
from tradingbot_api.strategies import (
    PARAMETERS_OF,
    ArbitrageParameters,
    Average,
    CandleInterval,
    DcaParameters,
    GridParameters,
    GridSpacing,
    TrendFollowingParameters,
    defaults_of,
    parse,
)
from tradingbot_api.strategies.forms import (
    ChoiceForm,
    DecimalForm,
    DurationForm,
    Form,
    IntegerForm,
    SymbolForm,
)
from tradingbot_api.strategies.parameters import forms_of
from tradingbot_api.strategies.parse import mistakes
from tradingbot_api.tradingbot import PARAMETER_KEY, StrategyType

REQUIRED: dict[str, dict[str, str]] = {
    "Arbitrage": {},
    "MarketMaking": {"symbol": "BTC-USDT"},
    "Grid": {"symbol": "BTC-USDT", "lowerPrice": "50000", "upperPrice": "70000"},
    "TrendFollowing": {"symbol": "BTC-USDT"},
    "DCA": {"symbol": "BTC-USDT"},
}


def errors(strategy_type: str, parameters: dict[str, str]) -> list[str]:
    found = parse(strategy_type, parameters)
    return [str(error) for error in found] if isinstance(found, list) else []


def texts(form: Form) -> st.SearchStrategy[str]:
    """Texts that the form reads, and others of about the same look."""
    match form:
        case DecimalForm():
            numbers = st.decimals(0, form.at_most * 2, allow_nan=False, places=4)
            return numbers.map("{:f}".format)
        case IntegerForm():
            return st.integers(-1, form.at_most + 2).map(str)
        case DurationForm():
            seconds = st.integers(0, int(form.at_most.total_seconds()) + 2)
            return seconds.map(lambda count: form.write(timedelta(seconds=count)))
        case ChoiceForm():
            return st.sampled_from([*map(str, form.choices), "Other"])
        case SymbolForm():
            return st.sampled_from(["BTC-USDT", "ETH-BTC", "BTC/USDT", "A-A"])
    return st.sampled_from(["BTC", "ETH", "USDT", "usdt"])


def parameters_of(strategy_type: str) -> st.SearchStrategy[dict[str, str]]:
    forms = forms_of(PARAMETERS_OF[strategy_type])
    return st.fixed_dictionaries(
        {}, optional={name: texts(form) for name, form in forms.items()}
    ).map(lambda drawn: {**REQUIRED[strategy_type], **drawn})


cases = st.sampled_from([*PARAMETERS_OF]).flatmap(
    lambda strategy_type: st.tuples(st.just(strategy_type), parameters_of(strategy_type))
)


# ---- what is read


def test_every_built_in_type_has_parameters_and_custom_has_none() -> None:
    assert {*PARAMETERS_OF, "Custom"} == {*StrategyType}


def test_the_parameters_of_the_sample_are_read() -> None:
    found = parse("Arbitrage", {"minProfitThreshold": "0.005"})

    assert isinstance(found, ArbitrageParameters)
    assert found.min_profit_threshold == Decimal("0.005")
    assert found.cooldown == timedelta(seconds=10)
    assert (found.start_asset, found.first_asset, found.second_asset) == ("USDT", "BTC", "ETH")


def test_a_type_may_be_given_as_the_enumeration() -> None:
    assert isinstance(parse(StrategyType.DCA, REQUIRED["DCA"]), DcaParameters)


def test_each_value_has_its_type() -> None:
    grid = parse("Grid", {**REQUIRED["Grid"], "levels": "5", "spacing": "Arithmetic"})
    trend = parse(
        "TrendFollowing",
        {"symbol": "BTC-USDT", "candleInterval": "15m", "average": "Exponential"},
    )

    assert isinstance(grid, GridParameters)
    assert (grid.levels, grid.spacing) == (5, GridSpacing.ARITHMETIC)
    assert isinstance(trend, TrendFollowingParameters)
    assert trend.candle_interval is CandleInterval.FIFTEEN_MINUTES
    assert trend.average is Average.EXPONENTIAL


@pytest.mark.parametrize(
    ("interval", "minutes"), [("1m", 1), ("30m", 30), ("2h", 120), ("1d", 1440)]
)
def test_a_candle_interval_has_a_length(interval: str, minutes: int) -> None:
    assert CandleInterval(interval).duration == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("0s", timedelta()),
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(minutes=90)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
    ],
)
def test_a_duration_is_read_in_its_units(text: str, span: timedelta) -> None:
    form = DurationForm(at_least=timedelta(), at_most=timedelta(days=2))

    assert form.read(text) == span


@pytest.mark.parametrize(
    "text", ["", "30", "1.5h", "30s1h", "-1s", "1H", " 1s", "1s\n", "\u0661s", "s"]
)
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    said = errors("DCA", {"symbol": "BTC-USDT", "interval": text})

    assert len(said) == 1
    assert said[0].endswith('must be a duration such as "500ms", "30s", "1h30m" or "7d"')


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", "1e3", "1_000", ".5", "1.", "NaN", "Infinity", " 1", "1\n", "\u0661", "0x1"],
)
def test_money_is_plain_decimal_text(text: str) -> None:
    said = errors("DCA", {"symbol": "BTC-USDT", "amountPerBuy": text})

    assert len(said) == 1
    assert "must be a decimal number such as" in said[0]


@pytest.mark.parametrize("text", ["", "1.0", "05", "+5", "-1", "1e1", "5\n", "\u0665", "9" * 5000])
def test_a_count_is_a_plain_whole_number(text: str) -> None:
    (said,) = errors("Grid", {**REQUIRED["Grid"], "levels": text})

    assert said.endswith("must be a whole number, at least 2 and at most 100")


@given(cases)
def test_what_is_accepted_can_be_written_and_read_again(case: tuple[str, dict[str, str]]) -> None:
    strategy_type, parameters = case
    found = parse(strategy_type, parameters)
    if isinstance(found, list):
        return
    written = found.model_dump(by_alias=True, exclude_none=True)

    assert parse(strategy_type, written) == found


@given(cases)
def test_a_number_has_the_value_of_its_text_and_is_never_a_float(
    case: tuple[str, dict[str, str]],
) -> None:
    found = parse(*case)
    if isinstance(found, list):
        return
    values = {
        info.alias or name: getattr(found, name) for name, info in type(found).model_fields.items()
    }

    assert not any(isinstance(value, float) for value in values.values())
    for name, text in case[1].items():
        if isinstance(values[name], Decimal):
            assert values[name] == Decimal(text)


# ---- what is refused


@given(cases)
def test_the_parameters_are_refused_if_and_only_if_the_model_refuses_them(
    case: tuple[str, dict[str, str]],
) -> None:
    strategy_type, parameters = case
    found = parse(strategy_type, parameters)
    model = PARAMETERS_OF[strategy_type]

    if isinstance(found, list):
        assert found
        with pytest.raises(ValidationError):
            model.model_validate(parameters)
    else:
        assert found == model.model_validate(parameters)


@given(cases, st.data())
def test_a_mistake_hides_no_other(case: tuple[str, dict[str, str]], data: st.DataObject) -> None:
    """Breaking one more parameter adds its error, and keeps those that do not read it."""
    strategy_type, parameters = case
    name = data.draw(st.sampled_from([*forms_of(PARAMETERS_OF[strategy_type])]))
    before = mistakes(strategy_type, parameters)
    after = mistakes(strategy_type, {**parameters, name: "?"})

    kept = {str(mistake.error) for mistake in before if name not in mistake.reads}
    own = [mistake for mistake in after if mistake.reads == (name,)]
    assert kept <= {str(mistake.error) for mistake in after}
    assert len(own) == 1


@given(cases)
def test_nothing_is_said_of_a_parameter_that_was_reported_already(
    case: tuple[str, dict[str, str]],
) -> None:
    strategy_type, parameters = case
    every = mistakes(strategy_type, parameters)
    for name in forms_of(PARAMETERS_OF[strategy_type]):
        rest = mistakes(strategy_type, parameters, known={name})
        assert rest == [mistake for mistake in every if name not in mistake.reads]


@given(
    st.sampled_from([*PARAMETERS_OF]), st.dictionaries(st.text(max_size=8), st.text(max_size=12))
)
def test_any_names_and_texts_get_errors_with_their_paths(
    strategy_type: str, parameters: dict[str, str]
) -> None:
    found = parse(strategy_type, parameters)
    if isinstance(found, list):
        named = {str(error.path[-1]) for error in found}
        assert named <= {*parameters, *forms_of(PARAMETERS_OF[strategy_type])}
        assert all(error.path[:3] == ("spec", "strategy", "parameters") for error in found)
        assert all(str(error) for error in found)


def test_the_errors_come_in_the_order_of_the_parameters_with_unknown_names_last() -> None:
    found = parse("Grid", {"zzz": "1", "spacing": "x", "levels": "x", "symbol": "BTC-USDT"})

    assert isinstance(found, list)
    assert [error.path[-1] for error in found] == [
        *("lowerPrice", "upperPrice"),
        *("levels", "spacing", "zzz"),
    ]


@pytest.mark.parametrize("strategy_type", ["Custom", "arbitrage", ""])
def test_a_type_that_is_not_built_in_is_refused_with_those_that_are(strategy_type: str) -> None:
    (said,) = errors(strategy_type, {})

    assert said == (
        f'spec.strategy.type: Unsupported value: "{strategy_type}": supported values: "Arbitrage",'
        ' "MarketMaking", "Grid", "TrendFollowing", "DCA"'
    )


def test_an_unknown_name_is_refused_with_the_one_that_was_meant_and_all_that_there_are() -> None:
    (said,) = errors("DCA", {"symbol": "BTC-USDT", "amount_per_buys": "5"})

    assert said == (
        "spec.strategy.parameters[amount_per_buys]: Forbidden: unknown parameter of DCA; did you"
        ' mean "amountPerBuy"? supported parameters: "amountPerBuy", "interval", "maxPrice",'
        ' "maxTotal", "symbol"'
    )


def test_no_value_that_may_be_a_credential_is_repeated() -> None:
    parameters = {
        "symbol": "Bearer hunter2",
        "apiKey": "hunter2",
        "spacing": "postgres://app:hunter2@db/orders",
        "levels": "Bearer hunter2",
    }

    said = "\n".join(errors("Grid", parameters))

    assert "hunter2" not in said
    assert said.count("(not shown)") == 3


@pytest.mark.parametrize("value", [5, 5.0, True, None, ["5"], {"a": "5"}, Decimal(5)])
def test_a_model_reads_strings_alone(value: Any) -> None:
    with pytest.raises(ValidationError, match="must be a string"):
        GridParameters.model_validate({**REQUIRED["Grid"], "levels": value})


def test_a_model_that_breaks_a_rule_between_parameters_can_not_be_made() -> None:
    with pytest.raises(ValidationError, match="upperPrice must be greater than lowerPrice"):
        GridParameters.model_validate({**REQUIRED["Grid"], "upperPrice": "1"})


def test_parameters_can_not_be_changed() -> None:
    found = GridParameters.model_validate(REQUIRED["Grid"])

    with pytest.raises(ValidationError, match="frozen"):
        found.levels = 3  # type: ignore[misc]


# ---- what the models say of themselves


@pytest.mark.parametrize("strategy_type", [*PARAMETERS_OF])
def test_every_default_is_one_that_the_form_reads(strategy_type: str) -> None:
    model = PARAMETERS_OF[strategy_type]
    written = {name: text for name, text in defaults_of(model).items() if text is not None}

    assert parse(strategy_type, {**written, **REQUIRED[strategy_type]}) == parse(
        strategy_type, REQUIRED[strategy_type]
    )


@pytest.mark.parametrize("strategy_type", [*PARAMETERS_OF])
def test_every_name_may_be_a_parameter_and_looks_like_no_credential(strategy_type: str) -> None:
    model = PARAMETERS_OF[strategy_type]
    for name, text in defaults_of(model).items():
        assert PARAMETER_KEY.fullmatch(name)
        assert detect(name, text or "BTC-USDT") is None


@pytest.mark.parametrize("strategy_type", [*PARAMETERS_OF])
def test_every_parameter_is_described_in_sentences(strategy_type: str) -> None:
    for info in PARAMETERS_OF[strategy_type].model_fields.values():
        assert info.description is not None
        assert info.description[0].isupper()
        assert info.description.endswith(".")


@pytest.mark.parametrize("strategy_type", [*PARAMETERS_OF])
def test_a_rule_reads_parameters_that_exist_and_the_one_that_it_names(strategy_type: str) -> None:
    model = PARAMETERS_OF[strategy_type]
    for rule in model.cross_rules:
        assert rule.parameter in rule.reads
        assert {*rule.reads} <= {*forms_of(model)}
