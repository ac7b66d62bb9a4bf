"""`tradingbot exchange` as a process: its start and end, its state, TLS."""

from __future__ import annotations

import asyncio
import http.client
import random
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from exchange_process import Exchange, Starter, certificate_for_loopback, ended, eventually
from tradingbot_cli.main import main


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    starter.close()


# Start and end


def test_the_first_line_says_where_the_exchange_is_and_what_it_simulates(start: Starter) -> None:
    made = start("--speed", "2.5")
    assert made.start["dialect"] == "binance"
    assert (made.start["seed"], made.start["speed"]) == (7, "2.5")
    assert made.start["symbols"] == ["BTC-USDT", "ETH-USDT", "ETH-BTC"]
    assert made.start["url"].startswith("http://127.0.0.1:")
    assert made.request("GET", "/api/v3/ping").status == 200


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
    ("arguments", "message"),
    [
        ((), "--dialect: Field required"),
        (("--dialect", "kraken"), "--dialect: should be 'binance' or 'coinbase'"),
        (("--dialect", "binance", "--speed", "0"), "--speed: should be greater than or equal"),
        (("--dialect", "binance", "--speed", "1001"), "--speed: should be less than or equal"),
        (("--dialect", "binance", "--balance", "USDT"), "--balance: 'USDT' is not ASSET=AMOUNT"),
        (("--dialect", "binance", "--balance", "BTC=NaN"), "--balance: 'NaN' must be from 0"),
        (("--dialect", "binance", "--account", "a/b"), "--account: 'a/b' must be up to 64"),
        (("--dialect", "binance", "--tls-cert", "x"), "--tls-cert and --tls-key go together"),
        (("--dialect", "binance", "--market-start", "1"), "--market-start needs --market"),
        (("--dialect", "binance", "--port", "8071"), "--port and --control-port must differ"),
    ],
)
def test_settings_that_are_not_possible_are_named_in_one_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a process for each: nothing has started when the settings are read."""
    code = main(["exchange", *arguments])
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.splitlines()) == 1, said.err
    assert (code, said.out) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--market", "x.csv", "--market-start", "noon"),
            "--market-start: time 'noon' is neither RFC 3339 nor milliseconds",
        ),
        (("--market", "none.csv"), "cannot read none.csv: No such file"),
        (("--scenario", "none.yaml"), "cannot read none.yaml"),
        (("--state", "none/x.db"), "cannot open none/x.db"),
        (("--keys", "none/k.yaml"), "cannot write none/k.yaml"),
        (("--tls-cert", "a", "--tls-key", "b"), "a and b can't be used"),
        (("--host", "no.such.host.example"), "cannot listen on no.such"),
    ],
)
def test_a_start_that_is_not_possible_says_why_in_one_line(
    arguments: tuple[str, ...], message: str
) -> None:
    made = ended("--dialect", "binance", *arguments)
    assert message in made.stderr
    assert len(made.stderr.splitlines()) == 1, made.stderr
    assert (made.returncode, made.stdout) == (1, "")


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
