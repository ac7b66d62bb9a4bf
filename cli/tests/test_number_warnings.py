"""Numbers without quotes that kubectl reads in another way than a person: warned of by validate."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_cli.verdicts import Checked, check
from tradingbot_cli.yaml_scalars import misreading, plain

NOW = datetime(2026, 11, 24, tzinfo=UTC)
PLAIN = "write the number that you mean in plain digits"
BOT = """\
apiVersion: trading.io/v1
kind: TradingBot
metadata: {name: b}
spec:
  strategy: {type: Grid, image: 'bot:1', parameters: {%(parameters)s}}
  exchange: {name: Binance, apiKeySecret: %(secret)s}
  resources: {limits: {cpu: %(cpu)s}}
  riskManagement:
    maxPositionSize: %(size)s
    dailyLossLimit: "100"
    maxOpenPositions: %(positions)s
"""
AS_IT_LOOKS = {"parameters": "", "secret": "a", "cpu": "1", "size": "1000", "positions": "5"}
ASSETS = """\
apiVersion: trading.io/v1
kind: AssetRegistry
metadata: {name: a}
spec: {assets: [{name: db, type: Other, config: {%s}}]}
"""


def warnings(text: str) -> list[str]:
    (found,) = check("a.yaml", text.encode(), now=NOW)
    assert isinstance(found, Checked)
    return [warning.text for warning in found.warnings if "without quotes" in warning.text]


def of_bot(**fields: str) -> list[str]:
    return warnings(BOT % (AS_IT_LOOKS | fields))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0200", f"0200 without quotes is an octal number, 128 to kubectl; {PLAIN}"),
        ("0o17", f"0o17 without quotes is an octal number, 15 to kubectl; {PLAIN}"),
        ("0x10", f"0x10 without quotes is a hexadecimal number, 16 to kubectl; {PLAIN}"),
        ("0b11", f"0b11 without quotes is a binary number, 3 to kubectl; {PLAIN}"),
        ("1_000", f"1_000 without quotes is a number with '_', 1000 to kubectl; {PLAIN}"),
        ("1e3", f"1e3 without quotes is a number with an exponent, 1000 to kubectl; {PLAIN}"),
        (
            "123456789012.12345678",
            (
                "123456789012.12345678 without quotes is a number of more digits than kubectl"
                " keeps, 123456789012.12346 to kubectl; put it into quotes"
            ),
        ),
    ],
)
def test_a_number_that_is_not_what_it_looks_like_is_warned_of(text: str, message: str) -> None:
    assert of_bot(size=text) == [f"spec.riskManagement.maxPositionSize: {message}"]


@pytest.mark.parametrize("text", ["1000", "007", "0800", "2.5", "2.50", "5.0", ".5", '"0200"'])
def test_a_number_that_is_what_it_looks_like_is_not(text: str) -> None:
    assert of_bot(size=text) == []


@pytest.mark.parametrize("tag", ["!!int", "!!float"])
def test_a_tag_does_not_hide_it(tag: str) -> None:
    assert len(of_bot(size=f"{tag} 0200")) == 1


def test_the_warning_is_there_for_each_field_whatever_its_type() -> None:
    found = of_bot(size="0200", cpu="02", positions="012", parameters="levels: 010")

    assert [text.split(": ")[0] for text in found] == [
        "spec.strategy.parameters[levels]",
        "spec.riskManagement.maxPositionSize",
        "spec.riskManagement.maxOpenPositions",
    ]
    assert warnings(ASSETS % "pool: {sizes: [1, 010]}") == [
        (
            "spec.assets[0].config.pool.sizes[1]: 010 without quotes is an octal number,"
            f" 8 to kubectl; {PLAIN}"
        )
    ]


def test_an_alias_is_warned_of_where_it_is_used() -> None:
    text = BOT % (AS_IT_LOOKS | {"size": "&size 0200"})

    assert len(warnings(text.replace('"100"', "*size"))) == 2


def test_it_explains_an_error_of_the_same_field() -> None:
    (found,) = check("a.yaml", (BOT % (AS_IT_LOOKS | {"size": "-0200"})).encode(), now=NOW)

    assert isinstance(found, Checked)
    assert [error.field for error in found.errors] == ["spec.riskManagement.maxPositionSize"]
    assert "-128 to kubectl" in found.warnings[0].text


@pytest.mark.parametrize(
    "text",
    [
        BOT % (AS_IT_LOOKS | {"parameters": "password: 0200"}),
        BOT % (AS_IT_LOOKS | {"secret": "0200"}),
        BOT % (AS_IT_LOOKS | {"secret": "[0200]"}),
        ASSETS % "password: 0200",
        ASSETS % "password: {is: [0200]}",
    ],
)
def test_what_may_be_a_credential_is_not_repeated(text: str) -> None:
    assert warnings(text) == []


def test_an_object_of_numbers_alone_gives_no_more_warnings_than_are_read() -> None:
    assert len(warnings(ASSETS % f"sizes: [{', '.join(['010'] * 1000)}]")) == 100


def test_json_means_what_it_says() -> None:
    obj: dict[str, Any] = {
        "apiVersion": "trading.io/v1",
        "kind": "AssetRegistry",
        "metadata": {"name": "a"},
        "spec": {"assets": [{"name": "db", "type": "Other", "config": {"size": "@"}}]},
    }

    assert warnings(json.dumps(obj).replace('"@"', "1e3")) == []


@given(st.integers(min_value=0, max_value=10**15).map(str))
def test_plain_digits_are_warned_of_if_and_only_if_kubectl_reads_another_number(text: str) -> None:
    for written in (text, f"0{text}"):
        assert bool(misreading(written)) == (plain(written) != int(written))


@given(st.text(alphabet="0123456789.eE_+-xob ", max_size=12))
def test_no_text_is_too_odd_for_it(text: str) -> None:
    assert isinstance(misreading(text), str)
