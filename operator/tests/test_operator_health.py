"""The health port and the metrics."""

import asyncio
import socket

import aiohttp
import pytest
from operator_harness import bot_body
from tradingbot_operator.health import HealthPortError, health_server
from tradingbot_operator.metrics import Metrics
from tradingbot_operator.store import Store


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


def test_a_phase_that_no_bot_is_in_any_more_is_not_shown() -> None:
    metrics, store = Metrics(), Store()
    store.put(bot_body(status={"phase": "Pending"}))
    metrics.count_bots(store)
    store.put(bot_body(status={"phase": "Running"}))
    metrics.count_bots(store)
    shown = {sample.labels["phase"] for one in metrics.bots.collect() for sample in one.samples}
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
        with pytest.raises(HealthPortError) as caught:
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
