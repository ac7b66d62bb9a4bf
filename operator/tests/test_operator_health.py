"""The health port and the metrics."""

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest
from operator_harness import bot_body
from tradingbot_operator.cluster.cache import Store
from tradingbot_operator.health import health_server
from tradingbot_operator.metrics import Metrics
from tradingbot_process.listening import ListenError


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def fetched(port: int, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as response,
    ):
        return response.status, await response.text()


def test_it_is_healthy_from_the_start_and_ready_once_nothing_speaks_against_it() -> None:
    reasons = ["the watches have not started"]

    async def main() -> list[tuple[int, str]]:
        port = free_port()
        async with health_server(
            "127.0.0.1",
            port,
            metrics=Metrics(),
            refresh=lambda: None,
            unready=lambda: reasons.pop() if reasons else "",
        ):
            return [await fetched(port, path) for path in ("/healthz", "/readyz", "/readyz")]

    assert asyncio.run(main()) == [
        (200, "ok\n"),
        (503, "the watches have not started\n"),
        (200, "ok\n"),
    ]


def test_metrics_are_fresh_when_they_are_read() -> None:
    metrics, store = Metrics(), Store()

    async def main() -> str:
        port = free_port()
        async with health_server(
            "127.0.0.1",
            port,
            metrics=metrics,
            refresh=lambda: metrics.count_bots(store),
            unready=lambda: "",
        ):
            metrics.request("GET", 200)
            store.put(bot_body(status={"phase": "Running"}))
            return (await fetched(port, "/metrics"))[1]

    text = asyncio.run(main())
    assert 'tradingbot_operator_bots{phase="Running"} 1.0' in text
    assert 'tradingbot_operator_api_requests_total{code="200",verb="GET"} 1.0' in text


async def asked(host: str, token_file: Path, *given: str | None) -> list[tuple[int, str]]:
    """Return the answers to these headers. A server on any address also listens on 127.0.0.1."""
    port = free_port()
    answers = []
    async with (
        health_server(
            host,
            port,
            metrics=Metrics(),
            refresh=lambda: None,
            unready=lambda: "",
            metrics_token_file=str(token_file),
        ),
        aiohttp.ClientSession() as session,
    ):
        for authorization in given:
            headers = {"Authorization": authorization} if authorization is not None else {}
            async with session.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as answer:
                answers.append((answer.status, await answer.text()))
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            assert answer.status == 200, "probes have no token"
    return answers


def test_other_pods_are_shown_metrics_for_a_token_alone(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("correct\n")
    wrong = (None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic correct", "Bearer correct x")
    answers = asyncio.run(asked("0.0.0.0", file, *wrong, "Bearer correct", "bearer  correct"))
    assert [status for status, _ in answers] == [401] * len(wrong) + [200, 200]
    for status, text in answers:
        assert ("tradingbot_operator" in text) == (status == 200)
        assert "correct" not in text


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_without_a_token_to_ask_for_other_pods_are_shown_nothing(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    ((status, text), (same, _)) = asyncio.run(asked("0.0.0.0", file, None, "Bearer "))
    assert status == same == 403
    assert "--metrics-token-file" in text
    assert "tradingbot_operator" not in text


def test_on_this_machine_nobody_is_asked_for_a_token(tmp_path: Path) -> None:
    assert asyncio.run(asked("127.0.0.1", tmp_path / "none", None))[0][0] == 200


def test_a_phase_that_no_bot_is_in_any_more_is_not_shown() -> None:
    metrics, store = Metrics(), Store()
    store.put(bot_body(status={"phase": "Pending"}))
    metrics.count_bots(store)
    store.put(bot_body(status={"phase": "Running"}))
    metrics.count_bots(store)
    shown = {
        sample.labels["phase"] for family in metrics.bots.collect() for sample in family.samples
    }
    assert shown == {"Running"}


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    async def main(port: int) -> None:
        async with health_server(
            "127.0.0.1", port, metrics=Metrics(), refresh=lambda: None, unready=lambda: ""
        ):
            raise AssertionError("it must not start")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            asyncio.run(main(port))
    message = str(caught.value)
    assert f"127.0.0.1:{port}" in message
    assert "--health-port" in message
    assert "\n" not in message


def test_the_port_is_free_again_afterwards() -> None:
    async def main() -> None:
        port = free_port()
        for _ in range(2):
            async with health_server(
                "127.0.0.1", port, metrics=Metrics(), refresh=lambda: None, unready=lambda: ""
            ):
                assert (await fetched(port, "/healthz"))[0] == 200

    asyncio.run(main())


def test_health_says_why_a_restart_would_help() -> None:
    async def main() -> tuple[int, str]:
        port = free_port()
        async with health_server(
            "127.0.0.1",
            port,
            metrics=Metrics(),
            refresh=lambda: None,
            unready=lambda: "",
            unhealthy=lambda: "a thread stands still",
        ):
            return await fetched(port, "/healthz")

    assert asyncio.run(main()) == (503, "a thread stands still\n")
