"""A head that was seen before is not parsed again, and nothing else changes by that."""

from __future__ import annotations

from typing import Any

import pytest
from http_harness import CHUNKED, LIMITS, POST, Harness, post
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_webhooks.http.heads import MAX_KNOWN, MAX_SIZE, KnownHeads
from tradingbot_webhooks.http.messages import Head

LENGTH = b"Content-Length: "
PIECES = [
    post(b""),
    post(b"one"),
    post(b"two", b"/EchO"),
    post(b"x" * 10),
    post(b"x" * LIMITS.max_body),
    post(b"x" * (LIMITS.max_body + 1)),
    post(b"one") + post(b"two"),
    post(b"one") + post(b"two")[:-1],
    post(b"one") + b"\r\n",
    b"\r\n" + post(b"one"),
    b"\r\n\r\n" + post(b"one"),
    post(b"\r\n\r\n" + post(b"inner")),
    post(b"one")[:-1],
    post(b"one")[:-3],
    post(b"one")[:1],
    post(b"one")[1:],
    post(b"e"),
    post(b"one", b"/refused"),
    post(b"", b"/refused"),
    post(b"x" * 300)[:-300],
    post(b"one", b"/broken"),
    post(b"one", b"/e%63ho?timeout=5s"),
    post(b"one", head=b"Connection: close\r\n"),
    post(b"one", head=b"Expect: 100-continue\r\n"),
    post(b"one", head=b"Expect: 100-continue\r\n")[:-3],
    post(b"one", head=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    post(b"one", head=b"Content-Length: 3\r\n"),
    post(b"one", head=b"Content-Length: 4\r\n"),
    post(b"one", head=b"content-length: 3\r\n"),
    post(b"one", head=b"Transfer-Encoding: chunked\r\n"),
    post(b"one", head=b"X: a\r\n Content-Length: 9\r\n"),
    post(b"one", head=b"X-Long: " + b"x" * MAX_SIZE + b"\r\n"),
    post(b"one").replace(b"HTTP/1.1", b"HTTP/1.0"),
    post(b"one").replace(LENGTH, b"content-length: "),
    *(
        post(b"one").replace(LENGTH + b"3", LENGTH + written)
        for written in (b"03", b"+3", b"-3", b"3 ", b" 3", b"3,3", b"0x3", b"", b"3" * 30, b"\xb3")
    ),
    CHUNKED,
    POST + LENGTH + b"3\r\n\nabc",
    b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n",
    b"HEAD /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
]


class Forgetful(KnownHeads):
    """Has every head parsed."""

    def split(self, data: bytes) -> None:
        return None


def harness_of(heads: KnownHeads) -> Harness:
    harness = Harness()
    harness.server._shared.heads = heads
    return harness


def outcomes(
    warm_up: list[list[bytes]], sent: list[bytes], *, others: int = 0, buffered: int = 0
) -> list[tuple[Any, ...]]:
    """What becomes of a connection, at a server that knows heads and at one that knows none. Each
    item of `warm_up` was received before, on a connection and in a turn of its own."""
    found = []
    for harness in (harness_of(KnownHeads()), harness_of(Forgetful())):
        for pieces in warm_up:
            connection, wire = harness.client()
            with harness.turn():
                for piece in pieces:
                    connection.data_received(piece)
            connection.connection_lost(None)
        for _ in range(others):
            harness.client()
        harness.server.room.charged += buffered
        connection, wire = harness.client()
        for piece in sent:
            connection.data_received(piece)
            harness.after(1)
        seen = (wire.written, wire.ended, wire.reading, harness.held, harness.app.refusals)
        connection.finish()
        seen = (*seen, wire.ended)
        harness.after(LIMITS.request_timeout)
        found.append((*seen, wire.written, wire.ended))
    return found


@pytest.mark.parametrize("before", PIECES)
def test_behind_anything_a_known_head_is_what_the_parser_takes_it_for(before: bytes) -> None:
    for sent in PIECES:
        for warm_up in ([], [[sent]], [[before, sent]]):
            known, parsed = outcomes(warm_up, [before, sent])
            assert known == parsed


@given(
    warm_up=st.lists(st.lists(st.sampled_from(PIECES), max_size=3), max_size=4),
    sent=st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=6),
    others=st.integers(0, LIMITS.max_connections),
    buffered=st.sampled_from([0, LIMITS.max_buffered - 3, LIMITS.max_buffered]),
)
def test_the_answers_are_those_of_a_server_that_parses_everything(
    warm_up: list[list[bytes]], sent: list[bytes], others: int, buffered: int
) -> None:
    known, parsed = outcomes(warm_up, sent, others=others, buffered=buffered)
    assert known == parsed


@pytest.mark.parametrize("head", [b"", b"X: y\r\n"])
def test_a_known_head_is_not_parsed_again_whatever_the_length_of_the_body(
    harness: Harness, head: bytes
) -> None:
    first, _ = harness.client()
    first.data_received(post(b"x" * 9, head=head))
    second, wire = harness.client()
    parsed: list[bytes] = []
    second._reader._parse = parsed.append  # type: ignore[method-assign]
    for body in (b"", b"x", b"x" * 500):
        second.data_received(post(body, head=head))
    assert (wire.bodies(), parsed) == ([b"", b"x", b"x" * 500], [])
    second.data_received(post(b"one", b"/other", head))
    assert len(parsed) == 1


def test_no_more_heads_are_kept_than_a_server_is_sent_in_earnest() -> None:
    heads = KnownHeads()
    head = Head(b"POST", "/echo", {})
    for number in range(10 * MAX_KNOWN):
        heads.remember(post(b"a", b"/%d" % number), head)
        assert len(heads._known) <= MAX_KNOWN
    heads.remember(post(b"a"), head)
    assert heads.split(post(b"bcd")) == (head, b"bcd")
    long: Any = post(b"a", head=b"X: " + b"x" * MAX_SIZE + b"\r\n")
    heads.remember(long, head)
    assert all(len(known) <= MAX_SIZE for known in heads._known)
