"""What is taken for a credential: every name and value of the corpus, both ways."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json
from tradingbot_api.credentials import (
    detect,
    detect_in,
    is_plainly_clean,
    names_credential,
)
from tradingbot_api.credentials.cel import (
    HARMLESS_PATTERN,
    PEM_PATTERN,
    VALUE_PATTERN,
    refused_by_schema,
)
from tradingbot_api.credentials.forms import RUN
from tradingbot_api.credentials.harmless import _HARMLESS
from tradingbot_api.credentials.vocabulary import HINTS

_CORPUS = Path(__file__).parent / "corpus" / "credentials.yaml"
CORPUS: dict[str, list[Any]] = yaml.safe_load(_CORPUS.read_text(encoding="utf-8"))
NAMES = CORPUS["names of credentials"]
OTHER_NAMES = CORPUS["other names"]


def values(section: str) -> list[str]:
    """The values of a section, those in parts joined."""
    return ["".join(value) if isinstance(value, list) else value for value in CORPUS[section]]


def verdict(name: str, value: object) -> str:
    found = detect(name, value)
    return "none" if found is None else "error" if found.certain else "warning"


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_credential_is_known(name: str) -> None:
    assert verdict(name, "hunter2") == "error"
    assert verdict(name, "x") == "error"
    assert not is_plainly_clean(f"{name}\nhunter2")
    assert not is_plainly_clean(to_json({name: "hunter2"}).decode())


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_name_that_only_speaks_about_one_is_none(name: str) -> None:
    assert verdict(name, "hunter2") == "none"


@pytest.mark.parametrize("word", ["api{}key", "api{}secret", "secret{}key", "access{}key"])
@pytest.mark.parametrize("between", ["", "-", "_", "."])
@pytest.mark.parametrize("form", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("around", ["{}", "binance-{}", "{}2", "my{}s"])
def test_a_key_that_names_a_credential_is_known_in_every_spelling(
    word: str, between: str, form: object, around: str
) -> None:
    assert names_credential(around.format(form(word.format(between))))  # type: ignore[operator]


@pytest.mark.parametrize("value", values("credentials"))
def test_a_value_that_is_a_credential_is_known_under_any_name(value: str) -> None:
    assert verdict("setting", value) == "error"
    assert not is_plainly_clean(value)


@pytest.mark.parametrize("value", values("random values"))
def test_a_value_that_only_looks_random_is_a_warning(value: str) -> None:
    assert verdict("setting", value) == "warning"
    assert verdict("fileChecksum", value) == "none"
    assert not is_plainly_clean(value)


@pytest.mark.parametrize("value", values("ordinary values"))
def test_any_other_value_is_ordinary(value: str) -> None:
    assert verdict("setting", value) == "none"


@pytest.mark.parametrize("value", values("harmless under any name"))
@pytest.mark.parametrize("name", ["password", "telegram_token"])
def test_a_reference_or_a_placeholder_is_no_credential(name: str, value: str) -> None:
    assert verdict(name, value) == "none"


@pytest.mark.parametrize("pair", CORPUS["pairs"], ids=str)
def test_a_name_and_a_value_are_judged_together(pair: dict[str, Any]) -> None:
    assert verdict(pair["name"], pair["value"]) == pair["verdict"]


@pytest.mark.parametrize("config", CORPUS["configs"], ids=str)
def test_a_credential_is_found_at_any_depth(config: dict[str, Any]) -> None:
    found = [".".join(map(str, pointer)) for pointer, _ in detect_in(config["value"])]

    assert found == config["found"]
    assert not found or not is_plainly_clean(to_json(config["value"]).decode())


def test_the_bytes_of_a_wallet_s_key_pair_are_found() -> None:
    assert [*detect_in({"id": list(range(64))})]
    assert not is_plainly_clean(to_json({"id": list(range(64))}).decode())
    assert not [*detect_in({"levels": list(range(63)), "more": list(range(200, 264))})]


def test_the_corpus_is_as_large_as_it_claims_to_be_and_says_nothing_twice() -> None:
    for section in CORPUS.values():
        assert len({str(item) for item in section}) == len(section)
    assert len(NAMES) + len(OTHER_NAMES) >= 150
    assert len(values("credentials")) + len(values("ordinary values")) >= 120


# ---- what the CRD states is a part of it


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_the_schema_refuses_no_name_that_is_none(name: str) -> None:
    assert not refused_by_schema(name)


def test_the_schema_knows_most_names() -> None:
    known = [name for name in NAMES if refused_by_schema(name)]

    assert len(known) >= len(NAMES) * 2 / 3, sorted(set(NAMES) - set(known))


@settings(max_examples=40)
@given(st.from_regex(_HARMLESS, fullmatch=True), st.sampled_from(["", " ", "\n", '"', "'"]))
def test_the_schema_admits_whatever_is_harmless(value: str, around: str) -> None:
    assert re.search(HARMLESS_PATTERN, around + value + around, re.ASCII)


@settings(max_examples=40)
@given(st.from_regex(re.compile(f"{VALUE_PATTERN}|{PEM_PATTERN}", re.ASCII)))
def test_a_value_that_the_schema_refuses_is_an_error(value: str) -> None:
    assert verdict("setting", value) == "error"
    assert not is_plainly_clean(value)


# ---- whatever it is given

HOSTILE = ("a", "A", "a1", "0", "ab ", "://", "://a:", "a@", "=", "a=", "password=", "a:b@", "-")
MORE_HOSTILE = (
    *(
        "eyJ",
        "eyJa.",
        "-----BEGIN ",
        "bearer ",
        "bearer a",
        "token: ",
        "\n",
        "\n a: ",
        "[",
        '{"a":',
    ),
    *("abandon ", "MII", "xoxb-", "sk_live_", "${", "{{", "1,", "5K", "LS0tLS1CRUdJTi", "x@y.z:"),
    *("jdbc:oracle:thin:a/", "a:b@tcp", "\u0130", "A\u0301"),
)


@pytest.mark.parametrize("piece", [*HOSTILE, *MORE_HOSTILE])
def test_a_long_hostile_text_is_judged_in_linear_time(piece: str) -> None:
    """A search that goes back over the text would take hours for these."""
    text = piece * (100_000 // len(piece))

    for hostile in (text, text + "!", f"password {text}"):
        detect("setting", hostile)
        names_credential(hostile)
        is_plainly_clean(hostile)


@given(st.text(), st.text() | st.integers() | st.none() | st.booleans())
def test_every_name_and_value_has_a_verdict_that_shows_no_value(name: str, value: object) -> None:
    found = detect(name, value)

    assert found is None or len(str(value)) < 6 or str(value) not in found.why


@given(st.text(max_size=40), st.text(max_size=200))
def test_what_is_plainly_clean_has_no_suspect(name: str, value: str) -> None:
    assert not is_plainly_clean(f"{name}\n{value}") or detect(name, value) is None


PARTS = st.sampled_from(
    [
        *("abandon", "act", "art", "threshold", "abcdefgh", "ab", "a1", "x" * 14, "9" * 15, "AIza"),
        *(" ", ", ", '":"', '":["', "----", "_", "-", "/", "\n", ".", "0", "12,", "255, ", "1000,"),
        *("pass", "wd", "ke", "y"),
    ]
)


@settings(max_examples=500)
@given(
    st.lists(PARTS, max_size=40).map("".join),
    st.sampled_from(
        ["", *("act " * 11, "a1/b2+c3_d4-e5/f", "abcdefgh..." * 12, "1," * 32, "255, " * 33)]
    ),
)
def test_a_text_is_plainly_clean_exactly_if_no_search_finds_something(
    around: str, inside: str
) -> None:
    text = f"{around}{inside}{around}"
    searches = (
        RUN.search(text),
        re.search(r"\b(?:[A-Za-z]{3,8}+[^A-Za-z0-9]{1,3}+){11}", text, re.ASCII),
        re.search(r"\b(?:[0-9]{1,3}+,\s?){32}", text, re.ASCII),
        *(hint in text.lower() for hint in HINTS),
    )

    assert is_plainly_clean(text) == (not any(searches))
