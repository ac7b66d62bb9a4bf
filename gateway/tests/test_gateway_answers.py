"""Answers and messages of an exchange that can't be read."""

import json

import pytest
from tradingbot_gateway.answers import Answer
from tradingbot_gateway.binance.upstream import code_of
from tradingbot_gateway.connection import STREAM_FAILURES
from tradingbot_gateway.errors import UnreachableError

UNREADABLE = pytest.mark.parametrize(
    "text", ["", "<html>busy</html>", "\x00", "[" * 100_000], ids=["empty", "page", "nul", "deep"]
)


@UNREADABLE
def test_an_answer_that_can_not_be_read_is_one_of_an_exchange_out_of_reach(text: str) -> None:
    answer = Answer(502, text.encode(), {})
    with pytest.raises(UnreachableError, match="answered 502 without JSON"):
        answer.json()
    assert code_of(answer) is None


@UNREADABLE
def test_a_message_that_can_not_be_read_ends_a_stream(text: str) -> None:
    with pytest.raises(STREAM_FAILURES):
        json.loads(text)
