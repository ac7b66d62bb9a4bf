"""Hostile answers: each costs the operator a small, bounded amount of work."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from risk_bots import RawBot, http, raw_serving, report, report_body, request
from tradingbot_api.contract import MAX_REPORT_BYTES
from tradingbot_operator.risk.answer import MAX_COMMAS, NoReportError, parsed
from tradingbot_operator.risk.client import RiskPeer
from tradingbot_operator.risk.connection import MAX_EXCHANGE_BYTES, MAX_READS, UNASKED

LONG = 20.0
"""Seconds; a poll that takes so long has no limit but its time-out."""

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MANY_PIECES = "its answer comes in too many pieces"
TOO_LONG = f"its report is longer than {MAX_REPORT_BYTES} bytes"


def endless(piece: bytes, *, after: bytes = b"", pause: float | None = None) -> RawBot:
    """Send `after`, then `piece` without end, each in its own packet if there is a pause."""

    async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(after)
        while True:
            writer.write(piece if pause is not None else piece * (10_000 // len(piece) + 1))
            await writer.drain()
            if pause is not None:
                await asyncio.sleep(pause)

    return bot


def once(answer: bytes) -> RawBot:
    async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)
        await reader.read()

    return bot


def refusal(bot: RawBot, *, within: float = LONG) -> NoReportError:
    """Return why the poll of `bot` fails."""

    async def main() -> NoReportError:
        async with raw_serving(bot) as url:
            peer = RiskPeer(url, timeout=within)
            with pytest.raises(NoReportError) as caught:
                await peer.report(keep=True)
            assert peer._connection is None
            return caught.value

    return asyncio.run(main())


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("bot", "problem"),
    [
        (endless(CONTINUE), "interim answers|longer than"),
        (endless(CONTINUE, pause=0.001), "interim answers"),
        (endless(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"), "interim answers|longer than"),
        (endless(b"x: y\r\n", after=HEAD), "too many pieces|longer than"),
        (endless(b"y", after=HEAD + b"x: "), TOO_LONG),
        (endless(b"y", after=b"HTTP/1.1 200 "), TOO_LONG),
        (endless(b"x", after=CHUNKED + b"1;"), TOO_LONG),
        (endless(b"1;x=y\r\nz\r\n", after=CHUNKED), "too many pieces|longer than"),
        (endless(b"x: y\r\n", after=CHUNKED + b"0\r\n"), "too many pieces|longer than"),
        (endless(b" ", after=CHUNKED + b"fffffff\r\n"), TOO_LONG),
        (endless(b" ", after=HEAD + b"\r\n"), TOO_LONG),
        (endless(b"\r\n"), TOO_LONG),
        (endless(b"1\r\nx\r\n", after=CHUNKED, pause=0.001), MANY_PIECES),
        (endless(b" ", after=HEAD + b"\r\n", pause=0.001), MANY_PIECES),
        (endless(b"x", after=HEAD, pause=0.001), MANY_PIECES),
    ],
)
def test_an_answer_without_end_is_given_up_long_before_its_time_out(
    bot: RawBot, problem: str
) -> None:
    begun = time.monotonic()
    error = refusal(bot)
    assert time.monotonic() - begun < LONG / 2
    assert error.excessive
    assert not error.silent
    assert any(text in str(error) for text in problem.split("|"))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (CONTINUE * 9 + http(report_body()), "interim answers"),
        (HEAD + b"x: y\r\n" * 2000 + b"\r\n", MANY_PIECES),
        (CHUNKED + b"1\r\n \r\n" * 2000 + b"0\r\n\r\n", MANY_PIECES),
        (CHUNKED + b"0\r\n" + b"x: y\r\n" * 2000 + b"\r\n", MANY_PIECES),
        (http(report_body()) * 2, UNASKED),
        (http(report_body()) + b"garbage", UNASKED),
        (http(report_body(), headers="Connection: close\r\n") + b"more", UNASKED),
        (http(report_body(x=[0] * (MAX_COMMAS + 1))), "fields or items"),
    ],
)
def test_an_answer_that_is_more_than_anybody_needs_is_refused(answer: bytes, problem: str) -> None:
    error = refusal(once(answer))
    assert error.excessive
    assert problem in str(error)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "101"),
        (b"HTTP/1.1 101 x\r\n\r\n" + b"x" * 1000, "101"),
        (report_body(), "not HTTP"),  # HTTP/0.9
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 99 + b"\r\n\r\n", "not HTTP"),
        (CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n", "not HTTP"),
        (CHUNKED + b"-1\r\n", "not HTTP"),
        (CHUNKED + b"f" * 99 + b"\r\n", "not HTTP"),
        (b"HTTP/1.1 20 \r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", "not JSON"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "204"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "302"),
    ],
)
def test_an_answer_of_another_kind_is_refused_at_once(answer: bytes, problem: str) -> None:
    assert problem in str(refusal(once(answer)))


def test_a_few_interim_answers_before_the_answer_do_not_matter() -> None:
    async def main() -> None:
        async with raw_serving(once(CONTINUE * 2 + http(report_body()))) as url:
            assert await RiskPeer(url, timeout=LONG).report(keep=False) == report()

    asyncio.run(main())


def test_an_answer_that_is_reset_at_once_brings_no_report() -> None:
    async def main() -> NoReportError:
        def reset() -> None:
            sock, _ = server.accept()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()

        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=reset)
            thread.start()
            peer = RiskPeer(f"http://127.0.0.1:{server.getsockname()[1]}/risk", timeout=LONG)
            with pytest.raises(NoReportError) as caught:
                await peer.report(keep=True)
            thread.join()
        return caught.value

    error = asyncio.run(main())
    assert (str(error), error.silent) == ("the connection broke", True)


def test_the_slowest_answer_costs_no_more_reads_and_the_longest_no_more_bytes_than_allowed() -> (
    None
):
    """Bytes beyond the limit are not parsed, and may be anything."""
    sent = 0

    async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request(reader)
        writer.write(HEAD + b"\r\n")
        while True:
            await asyncio.sleep(0.0005)
            writer.write(b" ")
            await writer.drain()
            sent += 1

    assert str(refusal(bot)) == MANY_PIECES
    assert sent < 4 * MAX_READS  # some are under way, or come in one read
    for more, problem in ((0, "its report is not JSON"), (1, TOO_LONG)):
        empty = HEAD + b"Content-Length: 0\r\nx: y"
        padding = b" " * (MAX_EXCHANGE_BYTES - len(empty) - 4 + more)
        assert str(refusal(once(empty + padding + b"\r\n\r\n"))) == problem


def slow(parts: int) -> RawBot:
    async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        for _ in range(parts):
            writer.write(b"H" if parts == 1 else b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.002)
        await asyncio.Event().wait()

    return bot


@pytest.mark.parametrize(("parts", "result"), [(0, "timeout"), (1, "timeout"), (60, "excessive")])
def test_a_bot_that_is_slow_is_told_from_one_that_dribbles(parts: int, result: str) -> None:
    assert refusal(slow(parts), within=0.5).result == result


# An answer that nobody asked for is never taken for that of a later poll.

WANTED, STALE = report_body(), report_body(dayPnL="999")


def test_an_answer_that_comes_between_two_polls_is_not_that_of_the_second() -> None:
    async def main() -> None:
        sent, served = asyncio.Event(), 0

        async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal served
            await request(reader)
            served += 1
            writer.write(http(WANTED))
            if served == 1:
                await asyncio.sleep(0.01)
                writer.write(http(STALE))
                await writer.drain()
                sent.set()
            await reader.read()

        async with raw_serving(bot) as url:
            peer = RiskPeer(url, timeout=LONG)
            assert await peer.report(keep=True) == report()
            await sent.wait()
            await asyncio.sleep(0.05)
            with pytest.raises(NoReportError, match=UNASKED) as caught:
                await peer.report(keep=True)
            assert caught.value.excessive
            assert await peer.report(keep=False) == report()
        assert served == 2

    asyncio.run(main())


def test_nor_if_the_loop_has_not_read_it_yet() -> None:
    go, sent = threading.Event(), threading.Event()

    def bot() -> None:
        sock, _ = server.accept()
        with sock:
            sock.recv(10_000)
            sock.sendall(http(WANTED))
            assert go.wait(LONG)
            sock.sendall(http(STALE))
            sent.set()
            with suppress(ConnectionResetError):
                while sock.recv(10_000):
                    sock.sendall(http(WANTED))

    async def main() -> None:
        peer = RiskPeer(f"http://127.0.0.1:{server.getsockname()[1]}/risk", timeout=LONG)
        assert await peer.report(keep=True) == report()
        go.set()
        assert sent.wait(LONG)  # and the loop stands still
        time.sleep(0.05)  # noqa: ASYNC251
        with pytest.raises(NoReportError, match=UNASKED):
            await peer.report(keep=True)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=bot)
        thread.start()
        asyncio.run(main())
        thread.join()


def test_an_answer_that_comes_after_its_time_out_is_not_that_of_the_next_poll() -> None:
    async def main() -> None:
        late = asyncio.Event()
        served = 0

        async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal served
            served += 1
            first = served == 1
            await request(reader)
            if first:
                await late.wait()
            writer.write(http(STALE if first else WANTED))
            await reader.read()

        async with raw_serving(bot) as url:
            peer = RiskPeer(url, timeout=0.2)
            with pytest.raises(NoReportError, match="no answer"):
                await peer.report(keep=True)
            late.set()
            assert await peer.report(keep=False) == report()

    asyncio.run(main())


def test_a_bot_is_asked_at_an_address_of_either_family() -> None:
    async def main() -> None:
        server = await asyncio.start_server(once(http(report_body())), "::1", 0)
        port = server.sockets[0].getsockname()[1]
        assert await RiskPeer(f"http://[::1]:{port}/", timeout=LONG).report(keep=False) == report()
        server.close()

    asyncio.run(main())


def test_no_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*arguments: object, **_: object) -> None:
        raise AssertionError(f"{arguments} is looked up")

    async def main() -> None:
        async with raw_serving(once(http(report_body()))) as url:
            monkeypatch.setattr(socket, "getaddrinfo", look_up)
            assert await RiskPeer(url, timeout=LONG).report(keep=False) == report()
            monkeypatch.undo()

    asyncio.run(main())


# Bodies that are meant to be expensive

GOOD = json.loads(report_body())
FULL = MAX_REPORT_BYTES


def inside(text: str) -> bytes:
    """Return a report with `text` behind its fields."""
    return (json.dumps(GOOD)[:-1] + "," + text + "}").encode()


def bombs() -> Iterator[bytes]:
    yield b"[" * FULL
    yield b'{"a":' * (FULL // 5)
    yield inside('"x":' + "[" * 30_000 + "]" * 30_000)
    yield b'{"openPositions":' + b"9" * (FULL - 20) + b"}"
    yield report_body(openPositions=10**400)
    yield inside('"openPositions":1e999999999')
    yield inside('"dayPnL":1e999999999')
    for number in ("9" * 10_000, "1e999999999", "0." + "1" * 60_000, "١٢", "1_0", " 1", "-0x1"):
        yield report_body(dayPnL=number)
        yield report_body(exposure=number)
    for moment in (
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-03-04T12:00:00." + "1" * 60_000 + "Z",
        "2026-03-04T25:00:00Z",
    ):
        yield report_body(time=moment)
    for day in ("0000-00-00", "9999-99-99", "2026-02-30", "99999-01-01", "-001-01-01"):
        yield report_body(tradingDay=day)
    yield report_body(configHash="a" * 60_000)
    yield inside('"x":"' + "\\ud800" * 10_000 + '"')
    yield ("{" + ",".join(['"dayPnL":"1"'] * 4900) + "}").encode()
    yield ("{" + ",".join(['"dayPnL":{}'] * 4900) + "}").encode()
    yield b"[" + b"1," * 30_000 + b"1]"


@pytest.mark.parametrize("body", list(bombs()), ids=lambda body: body[:30].decode(errors="replace"))
def test_a_body_that_is_made_to_be_expensive_is_no_report_and_takes_little_time(
    body: bytes,
) -> None:
    def poll() -> None:
        with pytest.raises(NoReportError):
            parsed(body)

    assert _cpu(poll) < 0.05


@pytest.mark.parametrize(
    "text",
    ['"x":1e999999999', '"x":"' + "\\u0041" * 10_000 + '"', '"x":' + "[" * 100 + "]" * 100],
)
def test_what_is_not_of_the_contract_is_passed_over(text: str) -> None:
    assert parsed(inside(text)) == report()


def _cpu(act: Callable[[], object]) -> float:
    """Return seconds of CPU time; the minimum of three runs, since the machine is shared."""
    times = []
    for _ in range(3):
        begun = time.thread_time()
        act()
        times.append(time.thread_time() - begun)
    return min(times)
