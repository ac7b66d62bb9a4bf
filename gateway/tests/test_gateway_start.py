"""`tradingbot gateway`: starts that are possible and that are not, and the way to the exchange."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from exchange_process import certificate_for_loopback, eventually
from gateway_process import Gateways, bot, command
from tradingbot_api.contract import bot_json
from tradingbot_gateway.settings import GatewaySettings

PAGE = (Path(__file__).parents[2] / "docs" / "gateway-run.md").read_text("utf-8")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bot.json"
    path.write_text(bot_json(bot("http://127.0.0.1:9")))
    return path


def ended(*arguments: str, keys: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a gateway that is expected not to start."""
    environment = {key: value for key, value in os.environ.items() if "EXCHANGE_API" not in key}
    if keys:
        environment |= {"EXCHANGE_API_KEY": "the-key", "EXCHANGE_API_SECRET": "the-secret"}
    ports = [
        *("--listen", "127.0.0.1:0", "--report-listen", "127.0.0.1:0"),
        *("--drain-listen", "127.0.0.1:0"),
    ]
    return subprocess.run(
        command(*ports, *arguments),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("--dialect", "coinbase"), "--dialect coinbase needs --handover DIRECTORY", 1),
        (("--dialect", "coinbase", "--handover", "."), "the exchange's API secret can't be", 1),
        (("--listen", "8081"), "--listen: '8081' is not HOST:PORT", 2),
        (("--config", "none.json"), "cannot read none.json: No such file", 1),
        (("--state", "none/ledger"), "cannot write none/ledger: No such file", 1),
        (("--ca-bundle", "none.pem"), "--ca-bundle none.pem can't be used", 1),
        (("--api-key-file", "none"), "cannot read none: No such file", 1),
        (
            ("--listen", "no.such.host.example:1"),
            "host 'no.such.host.example' can't be resolved",
            1,
        ),
    ],
)
def test_a_start_that_is_not_possible_says_why_in_one_line(
    config: Path, arguments: tuple[str, ...], message: str, code: int
) -> None:
    made = ended("--config", str(config), *arguments)
    assert message in made.stderr
    assert len(made.stderr.splitlines()) == 1, made.stderr
    assert (made.returncode, made.stdout) == (code, "")
    assert "the-secret" not in made.stderr


def test_the_kubelet_and_the_operator_reach_the_ports_by_ipv4_and_ipv6(start: Gateways) -> None:
    defaults = GatewaySettings.model_fields
    assert (defaults["report_listen"].default, defaults["drain_listen"].default) == (
        ":8080",
        ":8082",
    )
    gateway = start("--report-listen", ":0", "--drain-listen", ":0")
    for address in ("127.0.0.1", "[::1]") if socket.has_dualstack_ipv6() else ("127.0.0.1",):
        for port, path in (("report_url", "healthz"), ("drain_url", "drain")):
            url = f"http://{address}:{gateway.port_of(port)}/{path}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.status == 200


def test_live_needs_keys(config: Path) -> None:
    made = ended("--config", str(config), keys=False)
    assert "set EXCHANGE_API_KEY or --api-key-file" in made.stderr
    assert made.returncode == 1


def test_a_ledger_in_another_currency_is_refused(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    head = {"version": 1, "bot": "trading/tested", "time": 1, "snapshot": {"money": "EUR"}}
    path.write_text(json.dumps(head) + "\n")
    made = ended("--config", str(config), "--state", str(path))
    assert "the ledger is in EUR, and the limits are in USDT" in made.stderr
    assert made.returncode == 1


def test_a_bot_without_a_currency_is_refused(config: Path) -> None:
    content = bot("http://127.0.0.1:9")
    content["exchange"]["name"] = "Custom"
    config.write_text(bot_json(content))

    made = ended("--config", str(config))

    assert "bot.json names no exchange.quoteCurrency" in made.stderr
    assert made.returncode == 1


def test_the_exchanges_certificate_is_verified_and_a_bundle_is_trusted(
    start: Gateways, tmp_path: Path
) -> None:
    certificate, key = certificate_for_loopback(tmp_path)
    exchange = start.exchanges(
        *("--tls-cert", str(certificate), "--tls-key", str(key)),
        trust=ssl.create_default_context(cafile=str(certificate)),
    )
    stranger = start(exchange=exchange)
    eventually(lambda: "certificate" in stranger.log.read_text().lower(), seconds=40)
    assert stranger.report("/readyz").status == 503
    trusting = start("--ca-bundle", str(certificate), exchange=exchange).ready()
    assert trusting.request("GET", "/api/v3/ping").status == 200


class Proxy:
    """An HTTP proxy that tunnels, and remembers the heads of its requests."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.loop = asyncio.new_event_loop()
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        host, _, port = head.split()[1].partition(":")
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))

    async def _start(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    made.loop.run_until_complete(made._start())
    thread = threading.Thread(target=made.loop.run_forever, daemon=True)
    thread.start()
    yield made
    made.loop.call_soon_threadsafe(made.loop.stop)
    thread.join(timeout=10)
    tunnels = asyncio.all_tasks(made.loop)
    for tunnel in tunnels:
        tunnel.cancel()
    made.loop.run_until_complete(asyncio.gather(*tunnels, return_exceptions=True))
    made.loop.close()


def test_the_way_to_the_exchange_may_lead_through_a_proxy(
    start: Gateways, tmp_path: Path, proxy: Proxy
) -> None:
    certificate, key = certificate_for_loopback(tmp_path)
    exchange = start.exchanges(
        *("--tls-cert", str(certificate), "--tls-key", str(key)),
        trust=ssl.create_default_context(cafile=str(certificate)),
    )
    gateway = start(
        *("--ca-bundle", str(certificate)),
        *("--proxy-url", f"http://user:PASSWORD@127.0.0.1:{proxy.port}"),
        exchange=exchange,
    ).ready()
    assert gateway.request("GET", "/api/v3/ping").status == 200
    assert len(proxy.heads) >= 2  # REST and the user data stream
    assert all(head.startswith(f"CONNECT 127.0.0.1:{exchange.port}") for head in proxy.heads)
    assert "Proxy-Authorization: Basic" in proxy.heads[0]
    assert "PASSWORD" not in gateway.log.read_text()


def test_every_option_is_on_the_page() -> None:
    listed = set(re.findall(r"`(--[a-z-]+)`", PAGE.partition("## Options")[2].partition("##")[0]))
    flags = {"--" + name.replace("_", "-") for name in GatewaySettings.model_fields}
    assert flags <= listed


def test_the_bot_json_of_the_page_can_be_used(tmp_path: Path) -> None:
    text = re.search(r"<<'EOT'\n(.*?)\nEOT", PAGE, re.DOTALL)
    assert text is not None
    (tmp_path / "bot.json").write_text(text[1])
    made = ended("--config", str(tmp_path / "bot.json"), keys=False)
    assert "no credential" in made.stderr  # which is looked for once bot.json has been read


AUTHORITIES_OF_A_PROCESS = """
import os, sys
from tradingbot_gateway.settings import GatewaySettings
assert "aiohttp" not in sys.modules
from tradingbot_gateway import main
from aiohttp import connector
from tradingbot_gateway.connection import tls_context
default = connector._SSL_CONTEXT_VERIFIED
for context in (default, tls_context(None)):
    print(context.cert_store_stats()["x509"])
print(os.environ["SSL_CERT_FILE"])
"""


def test_a_process_loads_the_authorities_once_for_the_context_that_it_uses(tmp_path: Path) -> None:
    certificate = str(certificate_for_loopback(tmp_path)[0])
    environment = {**os.environ, "SSL_CERT_FILE": certificate}
    environment.pop("SSL_CERT_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", AUTHORITIES_OF_A_PROCESS],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=environment,
    )
    assert done.stdout.split() == ["0", "1", certificate]
