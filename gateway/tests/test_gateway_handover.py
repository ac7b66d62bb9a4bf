"""What a gateway hands to a bot of Coinbase: the same after a restart of the gateway alone."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import pytest
from tradingbot_gateway.coinbase.handover import hand_over

NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
HOST = "127.0.0.1"
FILES = {"ca.crt", "ca-bundle.crt", "api-key", "api-secret"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "handover"
    made.mkdir()
    return made


def contents(directory: Path) -> dict[str, str]:
    return {each.name: each.read_text() for each in directory.iterdir()}


@pytest.mark.parametrize(
    "later", [dt.timedelta(days=30), dt.timedelta(days=800), dt.timedelta(hours=-1)]
)
def test_what_was_made_is_handed_over_again(
    directory: Path, tmp_path: Path, later: dt.timedelta
) -> None:
    kept = tmp_path / "ledger.handover"
    first = hand_over(directory, HOST, now=NOW, kept=kept)
    before = contents(directory)
    assert before.keys() == FILES
    for each in directory.iterdir():
        each.unlink()
    again = hand_over(directory, HOST, now=NOW + later, kept=kept)
    assert contents(directory) == before
    assert (again.key_name, again.public_key) == (first.key_name, first.public_key)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" in kept.read_text()  # of the certificate and the bot, not the authority's
    assert kept.read_text().count("BEGIN CERTIFICATE") == 2


def test_without_a_ledger_each_start_makes_others(directory: Path) -> None:
    hand_over(directory, HOST, now=NOW)
    before = contents(directory)
    hand_over(directory, HOST, now=NOW)
    after = contents(directory)
    assert all(before[name] != after[name] for name in FILES)


@pytest.mark.parametrize(
    "change", ["damaged", "of another form", "another host", "too old", "of the future"]
)
def test_what_can_not_be_used_is_made_again(directory: Path, tmp_path: Path, change: str) -> None:
    kept, host, now = tmp_path / "ledger.handover", HOST, NOW
    hand_over(directory, HOST, now=NOW, kept=kept)
    before = contents(directory)
    if change == "damaged":
        kept.write_bytes(kept.read_bytes()[:200])
    elif change == "of another form":
        kept.write_text('{"secret": "x"}')
    elif change == "another host":
        host = "127.64.0.9"
    else:
        now += dt.timedelta(days=3300 if change == "too old" else -2)
    hand_over(directory, host, now=now, kept=kept)
    assert contents(directory)["api-secret"] != before["api-secret"]
    following = contents(directory)
    hand_over(directory, host, now=now, kept=kept)
    assert contents(directory) == following


def test_the_bundle_has_the_public_authorities_and_the_gateways(directory: Path) -> None:
    hand_over(directory, HOST, now=NOW)
    bundle, own = (directory / name for name in ("ca-bundle.crt", "ca.crt"))
    assert bundle.read_text().endswith(own.read_text())
    public = {*ssl.create_default_context().get_ca_certs(binary_form=True)}
    trusted = {*ssl.create_default_context(cafile=bundle).get_ca_certs(binary_form=True)}
    assert public <= trusted
    assert len(trusted) > len(public)
