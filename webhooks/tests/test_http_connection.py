"""Requests and their answers, byte by byte and in order: no socket, and the clock is a fake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from http_harness import CHUNKED, Harness, post, run
from tradingbot_webhooks.http.messages import Answer


@pytest.mark.parametrize(
    ("sent", "body"), [(post(b"abcde"), b"abcde"), (CHUNKED, b"abcde"), (post(b""), b"")]
)
def test_a_request_cut_anywhere_is_answered_the_same(
    harness: Harness, sent: bytes, body: bytes
) -> None:
    for cut in range(1, len(sent)):
        connection, wire = harness.client()
        connection.data_received(sent[:cut])
        assert wire.written == b""
        connection.data_received(sent[cut:])
        assert (wire.codes(), wire.bodies(), wire.ended) == ([200], [body], "")
        assert harness.held == 0
        connection.connection_lost(None)


def test_a_request_byte_by_byte_is_answered_and_so_is_the_next(harness: Harness) -> None:
    connection, wire = harness.client()
    for byte in CHUNKED + post(b"xyz"):
        connection.data_received(bytes([byte]))
    assert wire.bodies() == [b"abcde", b"xyz"]


def test_pipelined_requests_are_answered_in_order_wherever_they_are_cut(harness: Harness) -> None:
    sent = post(b"one") + CHUNKED + post(b"three")
    for cut in range(len(sent)):
        connection, wire = harness.client()
        connection.data_received(sent[:cut])
        connection.data_received(sent[cut:])
        assert wire.bodies() == [b"one", b"abcde", b"three"]
        connection.connection_lost(None)


def test_of_what_comes_in_one_turn_all_is_decided_before_any_answer_is_written(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [harness.client() for _ in range(3)]
    answer, written = harness.app.answer, []

    def observed(*request: Any, **more: Any) -> Any:
        written.append([wire.written for _, wire in clients])
        return answer(*request, **more)

    monkeypatch.setattr(harness.app, "answer", observed)
    with harness.turn():
        for number, (connection, _) in enumerate(clients):
            connection.data_received(post(b"%d" % number))
        assert written == []
    assert written == [[b"", b"", b""]] * 3
    assert [wire.bodies() for _, wire in clients] == [[b"0"], [b"1"], [b"2"]]


def test_who_has_gone_before_the_turn_ends_costs_nobody_else_an_answer(harness: Harness) -> None:
    (gone, gone_wire), (broken, broken_wire), (other, other_wire) = (
        harness.client() for _ in range(3)
    )
    with harness.turn():
        for connection in (gone, broken, other):
            connection.data_received(post(b"abc"))
        gone.connection_lost(ConnectionResetError())
        broken_wire.ended = "by itself"  # a write raises from now on
    assert (gone_wire.written, broken_wire.written) == (b"", b"")
    assert broken_wire.ended == "aborted"
    assert other_wire.bodies() == [b"abc"]
    assert harness.held == 0


def test_who_ends_its_side_right_behind_its_requests_is_answered(harness: Harness) -> None:
    connection, wire = harness.client()
    with harness.turn():
        connection.data_received(post(b"one") + post(b"two"))
        connection.eof_received()
        assert wire.bodies() == [b"one", b"two"]
    assert wire.bodies() == [b"one", b"two"]


def test_who_ends_its_side_behind_a_request_that_takes_time_is_answered_once() -> None:
    def scenario() -> Iterator[None]:
        harness = Harness()
        connection, wire = harness.client()
        with harness.turn():
            connection.data_received(post(b"abc", b"/wait"))
            connection.eof_received()
        connection.eof_received()
        assert (len(harness.app.waiting), harness.held) == (1, 0)
        harness.app.waiting[0].set_result(Answer(200, b"first"))
        yield
        assert wire.bodies() == [b"first"]

    run(scenario)


def test_nothing_is_read_while_requests_wait_for_their_turn(harness: Harness) -> None:
    connection, wire = harness.client()
    with harness.turn():
        connection.data_received(post(b"one") + post(b"two"))
        assert not wire.reading
    assert wire.reading
    assert wire.bodies() == [b"one", b"two"]


def test_what_comes_behind_a_slow_answer_waits_for_it_and_is_not_read_meanwhile() -> None:
    def scenario() -> Iterator[None]:
        harness = Harness()
        connection, wire = harness.client()
        connection.data_received(post(b"", b"/wait") + post(b"second") + post(b"third")[:20])
        assert (wire.written, wire.reading) == (b"", False)
        harness.after(10_000)
        assert wire.ended == "", "it is not the client that is slow"
        harness.app.waiting[0].set_result(Answer(200, b"first"))
        yield
        assert (wire.bodies(), wire.reading) == ([b"first", b"second"], True)
        harness.after(9.9)
        connection.data_received(post(b"third")[20:])
        assert wire.bodies() == [b"first", b"second", b"third"]
        assert harness.held == 0

    run(scenario)


def test_who_has_sent_a_part_behind_a_slow_answer_has_the_usual_time_for_the_rest() -> None:
    def scenario() -> Iterator[None]:
        harness = Harness()
        connection, wire = harness.client()
        connection.data_received(post(b"", b"/wait") + post(b"second")[:20])
        harness.after(10_000)
        harness.app.waiting[0].set_result(Answer(200, b"first"))
        yield
        harness.after(10)
        assert (wire.codes(), wire.ended) == ([200, 408], "closed")

    run(scenario)


def test_a_client_that_was_slow_to_read_may_still_wait_for_its_answer() -> None:
    def scenario() -> Iterator[None]:
        harness = Harness()
        connection, wire = harness.client()
        connection.data_received(post(b"", b"/wait"))
        connection.pause_writing()
        connection.resume_writing()
        harness.after(10_000)
        assert wire.ended == ""
        harness.app.waiting[0].set_result(Answer(200, b"first"))
        yield
        assert wire.bodies() == [b"first"]

    run(scenario)


def test_nothing_is_read_behind_a_last_request_that_waits_for_its_answer() -> None:
    def scenario() -> Iterator[None]:
        harness = Harness()
        connection, wire = harness.client()
        last = post(b"", b"/wait").replace(b"HTTP/1.1", b"HTTP/1.0")
        connection.data_received(last + post(b"never read"))
        connection.data_received(post(b"never read"))
        harness.app.waiting[0].set_result(Answer(200, b"first"))
        yield
        assert (wire.bodies(), wire.ended) == ([b"first"], "closed")

    run(scenario)


def test_a_refusal_behind_a_slow_answer_waits_for_its_turn() -> None:
    def scenario() -> Iterator[None]:
        for wrong in (post(b"", b"/refused"), b"\x00rubbish\r\n\r\n"):
            harness = Harness()
            connection, wire = harness.client()
            connection.data_received(post(b"", b"/wait") + wrong + post(b"never read"))
            assert wire.written == b""
            harness.app.waiting[0].set_result(Answer(200, b"first"))
            yield
            assert wire.codes() in ([200, 404], [200, 400])
            assert wire.ended == "closed"

    run(scenario)


def test_an_answer_whose_client_has_gone_is_dropped() -> None:
    def scenario() -> Iterator[None]:
        harness = Harness()
        connection, wire = harness.client()
        connection.data_received(post(b"", b"/wait") + post(b"queued"))
        connection.connection_lost(None)
        harness.app.waiting[0].set_result(Answer(200, b"late"))
        yield
        assert (wire.written, harness.held) == (b"", 0)

    run(scenario)


def test_an_answer_that_fails_later_is_a_500() -> None:
    def scenario() -> Iterator[None]:
        harness = Harness()
        connection, wire = harness.client()
        connection.data_received(post(b"", b"/wait"))
        harness.app.waiting[0].set_exception(ZeroDivisionError())
        yield
        assert (wire.codes(), wire.ended) == ([500], "closed")

    run(scenario)


def test_a_failing_application_costs_one_connection(harness: Harness) -> None:
    connection, wire = harness.client()
    connection.data_received(post(b"", b"/broken"))
    assert (wire.codes(), wire.ended) == ([500], "closed")


def test_who_asks_before_sending_the_body_is_told_to_go_on(harness: Harness) -> None:
    connection, wire = harness.client()
    sent = post(b"body", head=b"Expect: 100-Continue\r\n")
    connection.data_received(sent[:-4])
    assert wire.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.data_received(sent[-4:])
    assert wire.codes() == [100, 200]


def test_who_is_refused_is_not_told_to_send_the_body(harness: Harness) -> None:
    connection, wire = harness.client()
    connection.data_received(post(b"body", b"/refused", b"Expect: 100-continue\r\n")[:-4])
    assert (wire.codes(), wire.ended) == ([404], "closed")


def test_who_asks_behind_a_slow_answer_is_told_after_it() -> None:
    def scenario() -> Iterator[None]:
        harness = Harness()
        connection, wire = harness.client()
        sent = post(b"body", head=b"Expect: 100-continue\r\n")
        connection.data_received(post(b"", b"/wait") + sent[:-4])
        assert wire.written == b""
        harness.app.waiting[0].set_result(Answer(200, b"first"))
        yield
        assert wire.codes() == [200, 100]

    run(scenario)


@pytest.mark.parametrize(("path", "code"), [(b"/echo", 200), (b"/refused", 404)])
def test_head_is_answered_without_a_body_and_with_its_length(
    harness: Harness, path: bytes, code: int
) -> None:
    connection, wire = harness.client()
    connection.data_received(b"HEAD %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
    assert (wire.codes(), wire.bodies()) == ([code], [b""])
    assert b"content-length: %d\r\n" % (0 if code == 200 else len(b"no way in\n")) in wire.written


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (post(b"a", head=b"Connection: close\r\n"), b"a"),
        (post(b"a").replace(b"HTTP/1.1", b"HTTP/1.0"), b"a"),
        (post(b"a", head=b"Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"), b"a"),
        # Bytes after the head of an upgrade are not a body.
        (post(b"a", head=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"), b""),
    ],
)
def test_a_connection_that_can_not_be_kept_ends_with_its_answer(
    harness: Harness, sent: bytes, body: bytes
) -> None:
    connection, wire = harness.client()
    connection.data_received(sent + post(b"never read"))
    connection.data_received(post(b"never read"))
    assert (wire.bodies(), wire.ended) == ([body], "closed")
    assert b"connection: close\r\n" in wire.written
