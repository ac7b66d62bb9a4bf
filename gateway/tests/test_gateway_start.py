"""`tradingbot gateway`: starts that are possible and that are not, and the way to the exchange."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
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
        (("--dialect", "coinbase"), "--dialect: only binance is supported yet", 2),
        (("--listen", "8081"), "--listen: '8081' is not HOST:PORT", 2),
        (("--quote-currency", "usdt"), "--quote-currency: 'usdt' is not an asset", 2),
        (("--allowed-symbols", "BTCUSDT"), "--allowed-symbols: 'BTCUSDT' is not BASE-QUOTE", 2),
        (("--paper-balance", "USDT=x"), "--paper-balance: 'x' is not an amount", 2),
        (("--price-collar-percentage", "0"), "--price-collar-percentage: should be greater", 2),
        (("--config", "none.json"), "cannot read none.json: No such file", 1),
        (("--state", "none/ledger"), "cannot write none/ledger: No such file", 1),
        (("--ca-bundle", "none.pem"), "--ca-bundle none.pem can't be used", 1),
        (("--api-key-file", "none"), "cannot read none: No such file", 1),
        (("--listen", "no.such.host.example:1"), "cannot listen on no.such.host.example", 1),
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
