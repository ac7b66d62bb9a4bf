"""What a review may hold is counted before it is parsed, and strings count for nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from objects import json_values
from tradingbot_webhooks import review_size, wire
from tradingbot_webhooks.errors import TooComplexError
from tradingbot_webhooks.review_size import MAX_CONTAINERS, MAX_VALUES, is_too_complex
from webhook_process import bot, review

MARKS = st.text(alphabet='{[,:"\\n ]}', max_size=12)


def counted(value: Any) -> tuple[int, int]:
    """Lists and objects, and the commas between what they hold."""
    if isinstance(value, dict | list):
        inner = list(value.values() if isinstance(value, dict) else value)
        below = [counted(counts) for counts in inner]
        containers = 1 + sum(counts[0] for counts in below)
        return containers, max(0, len(inner) - 1) + sum(counts[1] for counts in below)
    return 0, 0


@given(value=json_values | st.lists(MARKS) | st.dictionaries(MARKS, MARKS))
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_outside_strings_all_is_counted_wherever_slices_end(value: Any, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(review_size, "_SLICE", size)
        assert review_size._exact(json.dumps(value).encode()) == counted(value)


@pytest.mark.parametrize(
    ("text", "too_much"),
    [
        (b"[" + b"{}," * (MAX_CONTAINERS - 2) + b"{}]", False),
        (b"[" + b"{}," * (MAX_CONTAINERS - 1) + b"{}]", True),
        (b"[" * (2 * MAX_CONTAINERS + 1), True),
        (b"[" + b"0," * (MAX_VALUES - 2) + b"0]", False),
        (b"[" + b"0," * MAX_VALUES + b"0]", True),
        (b'["' + b"{[,:" * MAX_VALUES + b'"]', False),
        (b'["' + rb"\"{,[" * MAX_VALUES + b'"]', False),
        (b'["' + rb"\\" + b'",' + b"{}," * MAX_CONTAINERS + b"0]", True),
        (b'"\\' + b"[" * 2 * MAX_CONTAINERS, False),  # no parser makes any of these
    ],
    ids=range(9),
)
def test_the_bounds_are_exact(text: bytes, too_much: bool) -> None:
    assert is_too_complex(text) is too_much


def test_a_review_of_usual_size_is_not_counted_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(review(bot(strategy={"parameters": {"a": "{" * 4000}}))).encode()
    monkeypatch.setattr(review_size, "_counts", None)
    assert not is_too_complex(body)


HOSTILE = {
    "empty strings": b'["' + b'","' * 1_000_000 + b'"]',
    "strings of a mark": b'["' + b',","' * 700_000 + b'"]',
    "backslashes": b'["' + b"\\" * 2_900_000 + b'"]',
    "empty objects": b"[" + b"{}," * 960_000 + b"{}]",
    "quotes": b'"' * 2_900_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_counting_takes_less_time_than_parsing_numbers_whatever_is_counted(kind: str) -> None:
    """It takes a tenth of the time of the parser: what is quadratic takes a thousand times it."""
    numbers = b"[" + b"1," * (len(HOSTILE[kind]) // 2) + b"1]"
    assert cpu_seconds(is_too_complex, HOSTILE[kind]) < 5 * cpu_seconds(json.loads, numbers)


def cpu_seconds(work: Callable[[bytes], object], body: bytes) -> float:
    begun = time.process_time()
    work(body)
    return time.process_time() - begun


def test_what_is_nested_too_deeply_is_refused_as_too_much() -> None:
    body = json.dumps(review({"spec": "DEEP"})).encode()
    for depth in (190, 300, 100_000):
        nested = body.replace(b'"DEEP"', b'{"a":' * depth + b"0" + b"}" * depth)
        if depth == 190:
            assert wire.parse(nested)
            continue
        with pytest.raises(TooComplexError, match="Split an AssetRegistry"):
            wire.parse(nested)
