"""`tradingbot exchange` as a process: start, faults over real sockets, its end."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import signal
import socket
import ssl
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from exchange_process import Exchange, Starter, certificate_for_loopback, ended, eventually

ORDER = "POST /api/v3/order"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    starter.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    starter = Starter(tmp_path_factory.mktemp("exchange"))
    yield starter("--balance", "USDT=100000,BTC=1")
    starter.close()


@pytest.fixture
def exchange(running: Exchange) -> Iterator[Exchange]:
    yield running
    running.control("DELETE", "/faults")


# Start and end


def test_the_first_line_says_where_the_exchange_is_and_what_it_simulates(start: Starter) -> None:
    made = start("--speed", "2.5")
    assert made.start["dialect"] == "binance"
    assert (made.start["seed"], made.start["speed"]) == (7, "2.5")
    assert made.start["symbols"] == ["BTC-USDT", "ETH-USDT", "ETH-BTC"]
    assert made.start["url"].startswith("http://127.0.0.1:")
    assert made.request("GET", "/api/v3/ping").status == 200


def test_keys_are_printed_once_on_stdout_and_never_logged(exchange: Exchange) -> None:
    printed = yaml.safe_load(exchange.output.read_text(encoding="utf-8"))["keys"]
    log = exchange.log.read_text(encoding="utf-8")
    assert len(printed) == 2
    for key in printed:
        secret = key.get("secret") or key["private_key"].splitlines()[1]
        assert secret not in log
    assert exchange.signed("GET", "/api/v3/account").status == 200


def test_keys_in_a_file_are_made_once_and_used_again(start: Starter, tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    first = start("--keys", str(path), "--account", "main,arb")
    content = path.read_text(encoding="utf-8")
    assert first.output.read_text(encoding="utf-8") == ""
    assert first.control("GET", "/accounts").body == {"accounts": ["main", "arb"]}
    assert first.stop() == 0
    start("--keys", str(path))
    assert path.read_text(encoding="utf-8") == content
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly_and_closes_streams(
    start: Starter, number: signal.Signals
) -> None:
    made = start()

    async def watch() -> int | None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{made.port}/ws/btcusdt@trade") as stream,
        ):
            await stream.receive(timeout=20)
            made.process.send_signal(number)
            async for _ in stream:
                pass
            return stream.close_code

    assert asyncio.run(asyncio.wait_for(watch(), 20)) == aiohttp.WSCloseCode.GOING_AWAY
    assert made.process.wait(timeout=20) == 0
    assert made.lines()[-1]["message"] == "exchange stopped"
    assert "Traceback" not in made.log.read_text(encoding="utf-8")


def test_a_request_that_waits_does_not_keep_the_process_from_ending(start: Starter) -> None:
    made = start()
    made.fault(type="latency", delay="60s")

    def ask() -> None:
        with pytest.raises((OSError, http.client.HTTPException)):
            made.request("GET", "/x")

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: made.control("GET", "/faults").body["faults"][0]["hits"] == 1)
    assert made.stop() == 0
    thread.join(timeout=20)


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        ((), "--dialect: Field required", 2),
        (("--dialect", "kraken"), "--dialect: should be 'binance' or 'coinbase'", 2),
        (("--dialect", "binance", "--speed", "0"), "--speed: should be greater than or equal", 2),
        (("--dialect", "binance", "--speed", "1001"), "--speed: should be less than or equal", 2),
        (("--dialect", "binance", "--balance", "USDT"), "--balance: 'USDT' is not ASSET=AMOUNT", 2),
        (("--dialect", "binance", "--balance", "BTC=NaN"), "--balance: 'NaN' must be from 0", 2),
        (("--dialect", "binance", "--account", "a/b"), "--account: 'a/b' must be up to 64", 2),
        (("--dialect", "binance", "--tls-cert", "x"), "--tls-cert and --tls-key go together", 2),
        (("--dialect", "binance", "--market-start", "1"), "--market-start needs --market", 2),
        (("--dialect", "binance", "--port", "8071"), "--port and --control-port must differ", 2),
        (
            ("--dialect", "binance", "--market", "x.csv", "--market-start", "noon"),
            "--market-start: time 'noon' is neither RFC 3339 nor milliseconds",
            1,
        ),
        (("--dialect", "binance", "--market", "none.csv"), "cannot read none.csv: No such file", 1),
        (("--dialect", "binance", "--scenario", "none.yaml"), "cannot read none.yaml", 1),
        (("--dialect", "binance", "--state", "none/x.db"), "cannot open none/x.db", 1),
        (("--dialect", "binance", "--keys", "none/k.yaml"), "cannot write none/k.yaml", 1),
        (("--dialect", "binance", "--tls-cert", "a", "--tls-key", "b"), "a and b can't be used", 1),
        (("--dialect", "binance", "--host", "no.such.host.example"), "cannot listen on no.such", 1),
    ],
)
def test_a_start_that_is_not_possible_says_why_in_one_line(
    arguments: tuple[str, ...], message: str, code: int
) -> None:
    made = ended(*arguments)
    assert message in made.stderr
    assert len(made.stderr.splitlines()) == 1, made.stderr
    assert (made.returncode, made.stdout) == (code, "")


def test_an_address_that_other_machines_reach_is_served_with_a_warning(start: Starter) -> None:
    made = start("--host", "0.0.0.0")
    assert made.start["url"].startswith("http://0.0.0.0:")
    assert made.lines()[0]["level"] == "warning"
    assert "can be reached from other machines" in made.lines()[0]["message"]


def test_a_taken_port_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for flag, other in (("--port", "--control-port"), ("--control-port", "--port")):
            state = tmp_path / "x.db"
            made = ended("--dialect", "coinbase", flag, port, other, "0", "--state", str(state))
            assert f"cannot listen on 127.0.0.1:{port}: the port is taken" in made.stderr
            assert f"Choose another {flag}" in made.stderr
            assert made.returncode == 1
            assert not state.exists()
            assert made.stdout == ""


# Faults of requests


def test_errors_are_those_of_the_exchange(exchange: Exchange) -> None:
    expected = [
        ({"type": "rate-limit", "retryAfter": 7}, 429, -1003),
        ({"type": "ban", "retryAfter": 120}, 418, -1003),
        ({"type": "server-error", "status": 500}, 500, None),
        ({"type": "server-error", "status": 503}, 503, None),
        ({"type": "reject", "reason": "INSUFFICIENT_BALANCE"}, 400, -2010),
    ]
    before = exchange.order_ids()
    for body, status, code in expected:
        exchange.fault(match=ORDER, **body)
        answer = exchange.order()
        assert answer.status == status
        if code is not None:
            assert answer.body["code"] == code
        if "retryAfter" in body:
            assert answer.headers["retry-after"] == str(body["retryAfter"])
    assert exchange.order().status == 200
    assert len(exchange.order_ids()) == len(before) + 1


def test_an_order_is_accepted_though_its_answer_is_lost(exchange: Exchange) -> None:
    exchange.fault(type="lose-answer", match=ORDER)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        exchange.order(client_id="lost-1")
    assert "lost-1" in exchange.order_ids()


def test_a_5xx_hides_an_order_that_was_carried_out(exchange: Exchange) -> None:
    exchange.fault(type="server-error", status=504, executed=True, match=ORDER)
    assert exchange.order(client_id="hidden-1").status == 504
    assert "hidden-1" in exchange.order_ids()


def test_a_dropped_request_never_reaches_the_exchange(exchange: Exchange) -> None:
    exchange.fault(type="drop-request", match=ORDER)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        exchange.order(client_id="dropped-1")
    assert "dropped-1" not in exchange.order_ids()


def test_a_doubled_request_is_carried_out_twice(exchange: Exchange) -> None:
    before = len(exchange.order_ids())
    exchange.fault(type="double-request", match=ORDER)
    assert exchange.order().status == 200
    assert len(exchange.order_ids()) == before + 2


def test_a_doubled_answer_arrives_twice_on_the_connection(exchange: Exchange) -> None:
    exchange.fault(type="double-answer", match="GET /api/v3/ping")
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=20) as connection:
        connection.sendall(b"GET /api/v3/ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        received = b""
        while received.count(b"HTTP/1.1 200 OK\r\n") < 2 or not received.endswith(b"{}"):
            received += connection.recv(4096)
    first, second = received.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first == second


def test_a_delay_is_longer_than_a_clients_patience(exchange: Exchange) -> None:
    exchange.fault(type="latency", delay="30s", match=ORDER)
    with pytest.raises(TimeoutError):
        exchange.order(client_id="late-1", timeout=0.5)
    assert exchange.request("GET", "/api/v3/ping").status == 200


def test_skew_makes_signed_requests_too_early_or_too_late(exchange: Exchange) -> None:
    for by in ("-120s", "120s"):
        fault = exchange.fault(type="clock-skew", by=by)
        answer = exchange.order()
        assert (answer.status, answer.body["code"]) == (400, -1021)
        exchange.control("DELETE", f"/faults/{fault}")
    assert exchange.order().status == 200


def test_a_partial_fill_shows_in_the_answer(exchange: Exchange) -> None:
    exchange.fault(type="partial-fills", percent=25, symbol="BTC-USDT")
    answer = exchange.order(quantity="0.1")
    assert (answer.body["status"], answer.body["executedQty"]) == ("EXPIRED", "0.02500000")


# Faults of streams


def run(scene: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(scene, 30))


def test_streams_are_cut_and_new_ones_refused_for_a_time(exchange: Exchange) -> None:
    url = f"http://127.0.0.1:{exchange.port}/ws/btcusdt@bookTicker"

    async def watch() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url) as stream:
                await stream.receive_json(timeout=20)
                body = {"type": "cut-streams", "path": "/ws/*", "for": "1h"}
                await asyncio.to_thread(exchange.control, "POST", "/faults", body)
                while (await stream.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT:
                    pass
                assert stream.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
            try:
                async with session.ws_connect(url) as stream:
                    assert (await stream.receive(timeout=20)).type is not aiohttp.WSMsgType.TEXT
            except aiohttp.ClientError:
                pass
            await asyncio.to_thread(exchange.control, "DELETE", "/faults")
            async with session.ws_connect(url) as stream:
                await stream.receive_json(timeout=20)

    run(watch())


def test_messages_are_doubled_and_dropped(exchange: Exchange) -> None:
    url = f"http://127.0.0.1:{exchange.port}/ws/btcusdt@trade"

    async def watch(times: int, **body: Any) -> list[int]:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as stream:
            first = await stream.receive_json(timeout=20)
            wanted = {**body, "contains": '"e":"trade"', "times": times}
            await asyncio.to_thread(exchange.control, "POST", "/faults", wanted)
            following = [(await stream.receive_json(timeout=20))["t"] for _ in range(8)]
            return [first["t"], *following]

    doubled = run(watch(2, type="double-events"))
    assert len(doubled) - len(set(doubled)) == 2
    dropped = run(watch(2, type="drop-events"))
    assert dropped[-1] - dropped[0] == len(dropped) + 1


# The control port


def test_the_control_port_lists_what_exists(exchange: Exchange) -> None:
    for path, text in (
        ("/faults/none", "no fault 'none'; active: none"),
        ("/accounts/nobody/statement", "no account 'nobody'; known: main"),
        ("/fault", "no such path; supported: DELETE /faults"),
    ):
        answer = exchange.control("GET", path)
        assert answer.status == 404
        assert answer.body["errors"][0].startswith(text)
    answer = exchange.control("POST", "/faults", {"type": "halt", "symbol": "X"})
    assert answer.body == {"errors": ["no symbol 'X'; supported: BTC-USDT, ETH-USDT, ETH-BTC"]}
    answer = exchange.control("POST", "/faults", {"type": "none"})
    assert answer.status == 422
    assert "supported: crash, spike" in answer.body["errors"][0]


def test_the_control_port_refuses_what_a_page_in_a_browser_can_send(exchange: Exchange) -> None:
    port, body = exchange.control_port, json.dumps({"type": "ban"}).encode()
    plain = exchange.request(
        "POST", "/faults", body=body, headers={"Content-Type": "text/plain"}, port=port
    )
    assert plain.status == 415
    foreign = exchange.request(
        "POST",
        "/faults",
        body=body,
        headers={"Content-Type": "application/json", "Host": "evil.example:80"},
        port=port,
    )
    assert foreign.status == 403
    for bad in (b"{", b"\xff", b"[" * 100_000):
        answer = exchange.request(
            "POST", "/faults", body=bad, headers={"Content-Type": "application/json"}, port=port
        )
        assert answer.status in {400, 413}
    assert exchange.control("GET", "/faults").body["faults"] == []


def test_the_statement_equals_the_exchanges_own_balances(exchange: Exchange) -> None:
    exchange.order(quantity="0.01")
    exchange.order(quantity="0.005", side="SELL")
    shown = exchange.control("GET", "/accounts/main/statement?limit=2").body
    account = exchange.signed("GET", "/api/v3/account").body
    balances = {b["asset"]: float(b["free"]) for b in account["balances"]}
    for asset, line in shown["balances"].items():
        assert float(line["free"]) == balances[asset]
    assert len(shown["fills"]) == 2
    assert shown["symbols"]["BTC-USDT"]["fills"] >= 2
    assert exchange.control("GET", "/accounts/main/statement?since=x").status == 400


def test_a_deposit_reaches_the_account(exchange: Exchange) -> None:
    before = float(
        exchange.control("GET", "/accounts/main/statement").body["balances"]["BTC"]["free"]
    )
    answer = exchange.control("POST", "/accounts/main/deposits", {"asset": "BTC", "amount": "0.5"})
    assert float(answer.body["BTC"]["free"]) == pytest.approx(before + 0.5)
    answer = exchange.control("POST", "/accounts/main/deposits", {"asset": "BTC", "amount": "-99"})
    assert answer.status == 409
    answer = exchange.control("POST", "/accounts/main/deposits", {"asset": "b", "amount": "NaN"})
    assert answer.status == 422


# State


def test_no_accepted_order_is_lost_however_often_the_process_is_killed(
    start: Starter, tmp_path: Path
) -> None:
    flags = ("--state", str(tmp_path / "x.db"), "--keys", str(tmp_path / "keys.yaml"))
    seed, accepted = random.Random(7), set[str]()
    for turn in range(5):
        made = start(*flags, "--balance", "USDT=1000000")
        (tmp_path / f"{turn}.out").write_text((tmp_path / "keys.yaml").read_text("utf-8"), "utf-8")
        assert accepted <= made.order_ids()

        def trade(made: Exchange = made, turn: int = turn) -> None:
            for number in range(1000):
                name = f"order-{turn}-{number}"
                try:
                    if made.order(client_id=name).status == 200:
                        accepted.add(name)
                except (OSError, http.client.HTTPException):
                    return

        wanted = len(accepted) + seed.randint(5, 40)
        thread = threading.Thread(target=trade)
        thread.start()
        eventually(lambda wanted=wanted: len(accepted) >= wanted, seconds=60)  # type: ignore[misc]
        made.stop(signal.SIGKILL)
        thread.join(timeout=20)
    last = start(*flags)
    last.output.write_text((tmp_path / "keys.yaml").read_text("utf-8"), "utf-8")
    assert accepted <= last.order_ids()
    assert len(accepted) > 25


# TLS


def test_https_is_served_with_a_certificate(start: Starter, tmp_path: Path) -> None:
    certificate, key = certificate_for_loopback(tmp_path)
    trust = ssl.create_default_context(cafile=str(certificate))
    made = start(
        "--tls-cert", str(certificate), "--tls-key", str(key), trust=trust, dialect="coinbase"
    )
    assert made.start["url"].startswith("https://127.0.0.1:")
    assert made.request("GET", "/api/v3/brokerage/time").status == 200
