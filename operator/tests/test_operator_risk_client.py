"""One poll of one bot, against servers that answer correctly or not."""

import asyncio
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from operator_harness import serving
from risk_bots import RawBot, http, raw_serving, report, report_body, request
from tradingbot_api.contract import MAX_REPORT_BYTES, RiskReport
from tradingbot_operator.risk.answer import NoReportError, parsed
from tradingbot_operator.risk.client import RiskPeer

SHORT = 0.1
"""Seconds, for polls that must hit their time-out."""
LONG = 10.0
"""Seconds, for polls that must not."""


async def asked(url: str, *, within: float = LONG) -> RiskReport:
    peer = RiskPeer(url, timeout=within)
    try:
        return await peer.report(keep=True)
    finally:
        peer.close()


def against(bot: RawBot, *, within: float = LONG) -> RiskReport:
    async def main() -> RiskReport:
        async with raw_serving(bot) as url:
            return await asked(url, within=within)

    return asyncio.run(main())


def answering(answer: bytes, *, then: Callable[[], Awaitable[Any]] | None = None) -> RawBot:
    """Send `answer` to each request, then wait for `then` before closing the connection."""

    async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await request(reader):
            writer.write(answer)
            await writer.drain()
            if then is not None:
                await then()
                return

    return bot


def refused(bot: RawBot, *, within: float = LONG) -> tuple[str, str, bool]:
    with pytest.raises(NoReportError) as caught:
        against(bot, within=within)
    return caught.value.result, str(caught.value), caught.value.silent


async def forever() -> None:
    await asyncio.Event().wait()


async def nothing() -> None:
    return None


def test_a_report_is_read() -> None:
    async def handler(web_request: web.Request) -> web.Response:
        assert web_request.method == "GET"
        assert web_request.path == "/risk"
        return web.Response(body=report_body(), content_type="application/json")

    async def main() -> RiskReport:
        async with serving(handler) as url:
            return await asked(f"{url}/risk")

    assert asyncio.run(main()) == report()


def test_a_chunked_report_is_read() -> None:
    body = report_body()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert against(answering(head + chunks)) == report()


def test_a_report_that_ends_with_its_connection_is_read() -> None:
    answer = b"HTTP/1.0 200 OK\r\n\r\n" + report_body()
    assert against(answering(answer, then=nothing)) == report()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status: str) -> None:
    async def main() -> tuple[list[bytes], str]:
        lured: list[bytes] = []

        async def lure(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            lured.append(await request(reader))
            writer.write(http(report_body()))

        async with raw_serving(lure) as other:
            bot = answering(http(b"", status=status, headers=f"Location: {other}\r\n"))
            async with raw_serving(bot) as url:
                with pytest.raises(NoReportError) as caught:
                    await asked(url)
        return lured, str(caught.value)

    assert asyncio.run(main()) == ([], f"it answered with HTTP {status[:3]}")


@pytest.mark.parametrize("status", ["201 Created", "206 Part", "404 No", "500 Oh", "503 Not yet"])
def test_only_200_counts_whatever_the_body_says(status: str) -> None:
    expected = ("http_error", f"it answered with HTTP {status[:3]}", False)
    assert refused(answering(http(report_body(), status=status))) == expected


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\0" * 100, b"HTTP/9.9 x\r\n\r\n"])
def test_what_is_not_http_is_no_answer_that_counts(answer: bytes) -> None:
    assert refused(answering(answer, then=nothing))[0] == "http_error"


def test_a_page_in_html_is_no_report() -> None:
    bot = answering(http(b"<html>hello</html>", headers="Content-Type: text/html\r\n"))
    assert refused(bot) == ("invalid", "its report is not JSON", False)


def test_a_compressed_answer_is_not_unpacked() -> None:
    bot = answering(http(b"\x1f\x8b" + b"\0" * 20, headers="Content-Encoding: gzip\r\n"))
    assert refused(bot)[0] == "invalid"


def test_a_report_of_the_greatest_length_is_read() -> None:
    padding = MAX_REPORT_BYTES - len(report_body(more=""))
    assert against(answering(http(report_body(more="x" * padding)))) == report()


def test_one_that_is_a_byte_longer_is_none() -> None:
    padding = MAX_REPORT_BYTES + 1 - len(report_body(more=""))
    expected = ("excessive", "its report is longer than 65536 bytes", False)
    assert refused(answering(http(report_body(more="x" * padding)))) == expected


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_answer_is_not_read_and_its_connection_is_closed(chunked: bool) -> None:
    length = 10_000_000

    async def main() -> NoReportError:
        closed = asyncio.Event()

        async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            head = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}"
            writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
            if chunked:
                writer.write(f"{length:x}\r\n".encode())
            writer.write(b" " * length)
            try:
                assert not await reader.read()
            finally:
                closed.set()

        async with raw_serving(bot) as url:
            with pytest.raises(NoReportError) as caught:
                await RiskPeer(url, timeout=LONG).report(keep=True)
            await closed.wait()
        return caught.value

    error = asyncio.run(main())
    assert (error.result, str(error)) == ("excessive", "its report is longer than 65536 bytes")


def test_a_bot_that_never_answers_is_given_up_on() -> None:
    expected = ("timeout", "no answer within 0.1 s", True)
    assert refused(answering(b"", then=forever), within=SHORT) == expected


@pytest.mark.parametrize("drip", [b"X", b"HTTP/1.1 200 OK\r\n", http(b"x" * 999)[:60]])
def test_the_time_out_holds_for_the_whole_answer_not_for_each_byte(drip: bytes) -> None:
    async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(drip)
        while True:
            await asyncio.sleep(SHORT / 10)
            writer.write(b" " if drip.startswith(b"HTTP") else b"X")
            await writer.drain()

    assert refused(bot, within=SHORT)[0] in {"timeout", "http_error", "excessive"}


@pytest.mark.parametrize("answer", [b"", http(report_body())[:-1], http(report_body())[:20]])
def test_a_connection_that_ends_early_brings_no_report(answer: bytes) -> None:
    result, problem, silent = refused(answering(answer, then=nothing))
    assert (result, problem, silent) == ("unreachable", "the connection broke", True)


def test_a_bot_that_half_closes_and_then_waits_is_not_waited_for() -> None:
    async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(http(report_body())[:-1])
        writer.write_eof()
        await forever()

    assert refused(bot) == ("unreachable", "the connection broke", True)


def test_a_port_that_nobody_listens_at_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/risk"
        with pytest.raises(NoReportError, match="no connection: Connection refused") as caught:
            asyncio.run(asked(url))
    assert (caught.value.result, caught.value.silent) == ("unreachable", True)


@contextmanager
def no_file_descriptor_left() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(file.name) for file in Path("/proc/self/fd").iterdir())
    fillers = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(fillers) + 1, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for file in fillers:
            os.close(file)


def test_a_lack_of_file_descriptors_is_the_operators_fault_and_passes() -> None:
    async def main() -> NoReportError:
        bot = answering(http(report_body()))
        async with raw_serving(bot) as url:
            peer = RiskPeer(url, timeout=LONG)
            with no_file_descriptor_left(), pytest.raises(NoReportError) as caught:
                await peer.report(keep=True)
            assert await peer.report(keep=False) == report()
        return caught.value

    error = asyncio.run(main())
    assert (error.result, error.silent) == ("unreachable", False)
    assert str(error) == "the operator is short of resources: Too many open files"


@pytest.mark.parametrize(("keep", "connections"), [(True, 1), (False, 3)])
def test_a_connection_is_kept_or_not_as_asked(keep: bool, connections: int) -> None:
    async def main() -> int:
        count = 0

        async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            count += 1
            closing = True
            while closing:
                closing = b"connection: close" not in (await request(reader)).lower()
                headers = "" if closing else "Connection: close\r\n"
                writer.write(http(report_body(), headers=headers))

        async with raw_serving(bot) as url:
            peer = RiskPeer(url, timeout=LONG)
            for _ in range(3):
                await peer.report(keep=keep)
            peer.close()
        return count

    assert asyncio.run(main()) == connections


def test_a_kept_connection_that_the_bot_has_closed_is_made_anew() -> None:
    """As after a restart of the bot, or with a server that closes idle connections sooner."""

    async def main() -> RiskReport:
        async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(http(report_body()))
            await request(reader)  # and closes without an answer

        async with raw_serving(bot) as url:
            peer = RiskPeer(url, timeout=LONG)
            await peer.report(keep=True)
            return await peer.report(keep=False)

    assert asyncio.run(main()) == report()


def test_no_cookie_no_credentials_and_no_proxy_of_the_environment_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    seen: list[bytes] = []

    async def main() -> None:
        async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                seen.append(await request(reader))
                writer.write(http(report_body(), headers="Set-Cookie: a=b\r\n"))

        async with raw_serving(bot) as url:
            peer = RiskPeer(url, timeout=LONG)
            for _ in range(2):
                await peer.report(keep=True)
            peer.close()

    asyncio.run(main())
    assert len(seen) == 2
    for head in seen:
        assert head.startswith(b"GET /risk HTTP/1.1\r\n")
        assert b"cookie" not in head.lower()
        assert b"authorization" not in head.lower()


def test_close_ends_the_connection_that_is_kept() -> None:
    async def main() -> None:
        closed = asyncio.Event()

        async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(http(report_body()))
            assert not await reader.read()
            closed.set()

        async with raw_serving(bot) as url:
            peer = RiskPeer(url, timeout=LONG)
            await peer.report(keep=True)
            assert not closed.is_set()
            peer.close()
            await closed.wait()

    asyncio.run(main())


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "its report is not JSON"),
        (b"{" + SECRET.encode(), "its report is not JSON"),
        (b"\xff\xfe", "its report is not JSON"),
        (b"[" * 60_000, "its report is not JSON"),
        (b"null", "its report is not a JSON object"),
        (b'["hunter2"]', "its report is not a JSON object"),
        (b'{"hunter2": 1}', "tradingDay of its report is missing"),
        (report_body(dayPnL=None, exposure=None), "dayPnL of its report is missing"),
        (report_body(dayPnL=-12.5), "dayPnL of its report is not of the form"),
        (report_body(dayPnL="NaN"), "dayPnL of its report is not of the form"),
        (report_body(dayPnL=float("nan")), "dayPnL of its report is not of the form"),
        (report_body(dayPnL="1e5"), "dayPnL of its report is not of the form"),
        (report_body(exposure="-1"), "exposure of its report is not of the form"),
        (report_body(exposure=float("inf")), "exposure of its report is not of the form"),
        (report_body(openPositions="1"), "openPositions of its report is not of the form"),
        (report_body(openPositions=True), "openPositions of its report is not of the form"),
        (report_body(openPositions=-1), "openPositions of its report is not of the form"),
        (report_body(tradingDay=SECRET), "tradingDay of its report is not of the form"),
        (report_body(configHash=[SECRET]), "configHash of its report is not of the form"),
        (report_body(time="2026-03-04T12:00:00"), "time of its report is not of the form"),
    ],
)
def test_a_malformed_report_is_none_and_its_first_wrong_field_is_named(
    body: bytes, problem: str
) -> None:
    with pytest.raises(NoReportError) as caught:
        parsed(body)
    assert str(caught.value).startswith(problem)
    assert SECRET not in str(caught.value)
    assert (caught.value.result, caught.value.silent) == ("invalid", False)
