"""What a connection may send and in which time, and how it ends: the clock is a fake."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from http_harness import CHUNKED, POST, Harness, post, run
from tradingbot_webhooks.http.connection import FRESH_GRACE
from tradingbot_webhooks.http.messages import Answer
from tradingbot_webhooks.http.request_reader import MAX_HEAD


def test_a_client_that_does_not_read_is_not_read_from_and_at_last_dropped(harness: Harness) -> None:
    connection, wire = harness.client()
    connection.pause_writing()
    connection.data_received(post(b"one") + post(b"two"))
    assert (wire.written, wire.reading, harness.held) == (b"", False, 6)
    connection.resume_writing()
    assert (wire.bodies(), wire.reading, harness.held) == ([b"one", b"two"], True, 0)
    connection.pause_writing()
    harness.after(9.9)
    assert wire.ended == ""
    harness.after(0.1)
    assert wire.ended == "aborted"


def test_a_client_that_never_takes_the_last_answer_is_dropped(harness: Harness) -> None:
    connection, wire = harness.client()
    connection.data_received(post(b"", b"/refused"))
    assert wire.ended == "closed"
    harness.after(10)
    assert wire.ended == "aborted"


def test_a_connection_without_a_request_is_closed_in_silence(harness: Harness) -> None:
    connection, wire = harness.client()
    connection.data_received(b"\r\n\r\n")
    harness.after(9.9)
    connection.data_received(b"\r\n")
    assert wire.ended == ""
    harness.after(0.1)
    assert (wire.written, wire.ended) == (b"", "closed")


@pytest.mark.parametrize("missing", [1, 5, 40])
def test_a_byte_now_and_then_does_not_move_the_deadline(harness: Harness, missing: int) -> None:
    connection, wire = harness.client()
    sent = post(b"abcde")
    connection.data_received(sent[: -missing - 9])
    for at in range(9):
        harness.after(1.1)
        connection.data_received(sent[-missing - 9 + at : -missing - 8 + at])
    assert wire.ended == ""
    harness.after(0.1)
    assert (wire.codes(), wire.ended) == ([408], "closed")
    assert harness.held == 0


def test_an_idle_connection_is_kept_for_its_time_after_each_answer(harness: Harness) -> None:
    connection, wire = harness.client()
    for _ in range(3):
        connection.data_received(post(b"a"))
        harness.after(99.9)
        assert wire.ended == ""
    harness.after(0.1)
    assert (wire.codes(), wire.ended) == ([200] * 3, "closed")


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"X: " + b"a" * MAX_HEAD,
        POST + b"X: aaaaaaaaaaaaaaaa\r\n" * 2500 + b"\r\n",
        b"GET /" + b"a" * MAX_HEAD,
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 40_000,
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nT: " + b"x" * 40_000,
    ],
)
@pytest.mark.parametrize("size", [1000, 100_000])
def test_what_is_no_body_is_bounded(harness: Harness, sent: bytes, size: int) -> None:
    connection, wire = harness.client()
    for at in range(0, len(sent), size):
        connection.data_received(sent[at : at + size])
    assert (wire.codes(), wire.ended) == ([431], "closed")
    assert harness.app.refusals == [431]


def test_a_large_body_is_refused_before_it_is_sent_or_while_it_is(harness: Harness) -> None:
    chunk = b"64\r\n" + b"x" * 100 + b"\r\n"
    for sent in (post(b"x" * 1001)[:100], CHUNKED[: CHUNKED.index(b"3\r\n")] + chunk * 11):
        connection, wire = harness.client()
        connection.data_received(sent)
        assert (wire.codes(), wire.ended, harness.held) == ([413], "closed", 0)
        connection.connection_lost(None)


def test_bodies_of_all_connections_together_are_bounded(harness: Harness) -> None:
    (first, first_wire), (second, second_wire) = harness.client(), harness.client()
    first.data_received(post(b"x" * 999)[:-1])
    second.data_received(post(b"x" * 999)[:-1])
    assert (second_wire.codes(), harness.held) == ([503], 998)
    assert b"retry-after: 1\r\n" in second_wire.written
    first.data_received(b"x")
    assert (first_wire.codes(), harness.held) == ([200], 0)


def test_a_connection_that_breaks_off_gives_its_bytes_back(harness: Harness) -> None:
    connection, _ = harness.client()
    connection.data_received(post(b"x" * 999)[:-1])
    connection.connection_lost(ConnectionResetError())
    assert harness.held == 0


def test_while_draining_each_answer_ends_its_connection(harness: Harness) -> None:
    connection, wire = harness.client()
    harness.server.drain()
    connection.data_received(post(b"a") + post(b"b"))
    assert (wire.codes(), wire.ended) == ([200], "closed")
    assert b"connection: close\r\n" in wire.written


def test_the_end_waits_for_what_has_begun_and_for_who_has_just_come() -> None:
    def scenario() -> Iterator[None]:
        harness = Harness()
        idle, begun, waiting = (harness.client() for _ in range(3))
        idle[0].data_received(post(b"a"))
        begun[0].data_received(post(b"a") + post(b"b")[:30])
        waiting[0].data_received(post(b"", b"/wait"))
        harness.server.stop()
        for connection, _ in (idle, begun, waiting):
            connection.finish()
        assert (idle[1].ended, begun[1].ended, waiting[1].ended) == ("closed", "", "")
        idle[0].connection_lost(None)
        begun[0].data_received(post(b"b")[30:])
        harness.app.waiting[0].set_result(Answer(200, b"first"))
        yield
        assert begun[1].bodies() == [b"a", b"b"]
        assert (begun[1].ended, waiting[1].ended) == ("closed", "closed")

    run(scenario)


def test_who_comes_as_the_server_stops_has_a_moment_to_ask(harness: Harness) -> None:
    early, silent = harness.client(), harness.client()
    harness.server.stop()
    for connection, _ in (early, silent):
        connection.finish()
    late = harness.client()
    harness.after(FRESH_GRACE / 2)
    early[0].data_received(post(b"a"))
    assert (early[1].codes(), silent[1].ended, late[1].ended) == ([200], "", "")
    harness.after(FRESH_GRACE / 2)
    for _, wire in (silent, late):
        assert (wire.written, wire.ended) == (b"", "closed")
