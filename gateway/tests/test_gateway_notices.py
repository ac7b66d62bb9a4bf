"""What a gateway says of itself beside its report: why it is not ready, and warnings."""

from __future__ import annotations

from pathlib import Path

import pytest
from coinbase_gateway import start_bot
from exchange_process import eventually
from gateway_process import Gateway, Gateways
from tradingbot_api.gateway_state import HEADER, GatewayNotice, GatewayReason
from tradingbot_exchange.keys import KeyEntry, KeysFile, make_keys, write_keys
from tradingbot_exchange.market.symbols import DialectName

REASONS = GatewayReason


def notice(gateway: Gateway) -> GatewayNotice | None:
    return GatewayNotice.parse(gateway.report("/risk").headers.get(HEADER.lower(), ""))


def says(gateway: Gateway, reason: GatewayReason, *, seconds: float = 20) -> GatewayNotice:
    """Wait until the gateway says so, and return what it says."""
    found: list[GatewayNotice] = []

    def is_said() -> bool:
        said = notice(gateway)
        found.extend([said] if said is not None else [])
        return said is not None and said.reason is reason

    eventually(is_said, seconds=seconds)
    return found[-1]


def key_files(entry: KeyEntry, directory: Path) -> tuple[str, ...]:
    """Write a key as a mounted Secret has it, and return the flags of the gateway."""
    secret = entry.secret or entry.private_key
    assert secret is not None
    (directory / "key").write_text(entry.name)
    (directory / "secret").write_text(secret.get_secret_value())
    return (
        *("--api-key-file", str(directory / "key")),
        *("--api-secret-file", str(directory / "secret")),
    )


def with_key(
    start: Gateways, dialect: str, entry: KeyEntry, directory: Path, *arguments: str
) -> Gateway:
    """Start a gateway with a key, in front of an exchange of its own."""
    exchange = start.exchanges("--balance", "USDT=1000,USD=1000", *arguments, dialect=dialect)
    flags = key_files(entry, directory)
    if dialect == "binance":
        gateway = start(*flags, exchange=exchange, begin=False)
    else:
        gateway = start_bot(start, *flags, exchange=exchange, begin=False).gateway
    gateway.without_keys = True
    gateway.begin()
    return gateway


def test_a_gateway_that_is_well_says_nothing(gateway: Gateway) -> None:
    assert gateway.report("/risk").status == 200
    assert notice(gateway) is None


def test_an_account_that_is_being_read(start: Gateways) -> None:
    gateway = start(begin=False)
    gateway.exchange.fault(type="latency", delay="3s", match="GET /api/v3/openOrders")
    gateway.begin()
    said = says(gateway, REASONS.NOT_RECONCILED)
    assert said.sentence == "the account is being read"
    gateway.ready()
    assert notice(gateway) is None


def test_an_exchange_that_can_not_be_reached_and_comes_back(start: Gateways) -> None:
    gateway = start().ready()
    gateway.exchange.fault(type="cut-streams", **{"for": "6s"})
    said = says(gateway, REASONS.EXCHANGE_UNREACHABLE)
    readyz = gateway.report("/readyz")
    assert (readyz.status, said.reason in str(readyz.body)) == (503, True)
    gateway.ready()
    assert notice(gateway) is None


@pytest.mark.parametrize("dialect", ["binance", "coinbase"])
def test_keys_that_the_exchange_refuses(start: Gateways, dialect: str, tmp_path: Path) -> None:
    unknown = make_keys(DialectName(dialect), ["main"]).keys[0]
    gateway = with_key(start, dialect, unknown, tmp_path)
    said = says(gateway, REASONS.KEYS_REFUSED)
    assert gateway.report("/risk").status == 503
    for secret in ("key", "secret"):
        assert (tmp_path / secret).read_text() not in said.sentence + gateway.log.read_text()


def test_prices_that_are_old(start: Gateways) -> None:
    gateway = start().ready()
    gateway.buy()
    gateway.exchange.fault(type="cut-streams", path="/stream", **{"for": "120s"})
    gateway.exchange.fault(type="server-error", match="GET /api/v3/depth", times=1000)
    said = says(gateway, REASONS.PRICES_STALE, seconds=60)
    assert said.sentence == "no price of BTC-USDT is younger than 30 s"


@pytest.mark.parametrize("dialect", ["binance", "coinbase"])
def test_a_key_that_may_withdraw_is_a_warning(
    start: Gateways, dialect: str, tmp_path: Path
) -> None:
    made = make_keys(DialectName(dialect), ["main"]).keys[0]
    entry = made.model_copy(update={"permissions": frozenset({"read", "trade", "withdraw"})})
    keys = tmp_path / "keys.yaml"
    write_keys(keys, KeysFile(keys=(entry,)))
    gateway = with_key(start, dialect, entry, tmp_path, "--keys", str(keys)).ready()
    says(gateway, REASONS.KEY_MAY_WITHDRAW)
    assert gateway.report("/risk").status == 200
    assert any("may withdraw" in line["message"] for line in gateway.lines())
