"""bot.json, keys, and the ledger's file."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gateway_process import bot
from tradingbot_api.contract import bot_json
from tradingbot_gateway.configuration import ConfigFile
from tradingbot_gateway.credentials import Credentials, read_credentials
from tradingbot_gateway.errors import ConfigError, CredentialsError, StateFileError
from tradingbot_gateway.journal import Journal
from tradingbot_gateway.risk.events import Event, Halted, Priced

NO_SNAPSHOT: dict[str, Any] = {}


def priced(number: int) -> Event:
    return Priced(time=number, asset="BTC", at=number, price=Decimal(number))


# bot.json


def mounted(directory: Path, content: dict[str, Any]) -> Path:
    """Write bot.json as the kubelet does: a link to a link to a directory with a time in it."""
    number = len(list(directory.iterdir()))
    version = directory / f"..{number}"
    version.mkdir()
    (version / "bot.json").write_text(bot_json(content))
    link = directory / "..next"
    link.symlink_to(version.name)
    link.replace(directory / "..data")
    path = directory / "bot.json"
    if not path.is_symlink():
        path.symlink_to("..data/bot.json")
    return path


def test_the_swap_of_a_mounted_configmap_is_noticed_once(tmp_path: Path) -> None:
    content = bot("https://example.com")
    file = ConfigFile(mounted(tmp_path, content))
    assert file.changed() is None
    content["risk"]["maxPositionSize"] = "5"
    mounted(tmp_path, content)
    changed = file.changed()
    assert changed is not None
    assert changed.risk.max_position_size == "5"
    assert file.changed() is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schemaVersion": "v2"}', json.dumps({"risk": "SECRET"})]
)
def test_a_file_that_cannot_be_used_changes_nothing_and_is_not_quoted(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = mounted(tmp_path, bot("https://example.com"))
    file = ConfigFile(path)
    before = file.config
    path.unlink()
    path.write_text(text)
    assert file.changed() is None
    assert file.config == before
    assert "keeping the configuration" in caplog.text
    assert "SECRET" not in caplog.text
    with pytest.raises(ConfigError):
        ConfigFile(path)


@pytest.mark.parametrize(
    ("place", "value"), [("name", "other"), ("mode", "Paper"), ("exchange", {"name": "Coinbase"})]
)
def test_what_needs_a_restart_is_not_applied(tmp_path: Path, place: str, value: object) -> None:
    content = bot("https://example.com")
    file = ConfigFile(mounted(tmp_path, content))
    mounted(tmp_path, content | {place: value})
    assert file.changed() is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.json: No such file"):
        ConfigFile(tmp_path / "none.json")


# Keys


def test_keys_come_from_files_or_from_the_environment_and_are_never_shown(tmp_path: Path) -> None:
    environment = {"EXCHANGE_API_KEY": "key-1", "EXCHANGE_API_SECRET": "secret-1"}
    found = read_credentials(environment, key_file=None, secret_file=None)
    assert found == Credentials("key-1", "secret-1")
    path = tmp_path / "secret"
    path.write_text("secret-2\n")
    found = read_credentials(environment, key_file=None, secret_file=path)
    assert found.secret == "secret-2"
    assert "key-1" not in repr(found)
    assert "secret-2" not in f"{found}"


def test_missing_keys_are_named_without_any_value(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="EXCHANGE_API_SECRET or --api-secret-file"):
        read_credentials({"EXCHANGE_API_KEY": "key-1"}, key_file=None, secret_file=None)
    with pytest.raises(CredentialsError, match=r"cannot read .*none"):
        read_credentials({}, key_file=tmp_path / "none", secret_file=None)


# The ledger's file


def journal(path: Path, *, bot: str = "trading/tested") -> Journal:
    return Journal(path, bot=bot)


def test_events_are_read_again_in_their_order(tmp_path: Path) -> None:
    file = journal(tmp_path / "ledger")
    assert file.read().snapshot is None
    file.begin({"a": 1}, now=5)
    halted = Halted(time=9, until=20, reason="a loss")
    file.append((priced(7), halted), lambda: NO_SNAPSHOT, now=9)
    file.append((priced(8),), lambda: NO_SNAPSHOT, now=9)
    file.close()
    found = journal(tmp_path / "ledger").read()
    assert found.snapshot == {"a": 1}
    assert found.events == (priced(7), halted, priced(8))
    assert found.until == 9


def test_a_line_that_a_crash_has_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    file = journal(path)
    file.begin({}, now=1)
    file.append((priced(2), priced(3)), lambda: NO_SNAPSHOT, now=3)
    file.close()
    for length in range(len(path.read_bytes()) - 1, len(path.read_bytes().splitlines()[0]), -1):
        path.write_bytes(path.read_bytes()[:length])
        reader = journal(path)
        assert reader.read().events in {(), (priced(2),), (priced(2), priced(3))}
        reader.close()


def test_a_long_file_begins_again_with_a_snapshot(tmp_path: Path) -> None:
    file = journal(tmp_path / "ledger")
    file.begin({}, now=1)
    for number in range(1, 5_001):
        file.append((priced(number),), lambda: NO_SNAPSHOT, now=number)
    assert len(file.read().events) == 5_000
    file.append((priced(5_001),), lambda: {"whole": True}, now=5_001)
    found = file.read()
    assert (found.snapshot, found.events, found.until) == ({"whole": True}, (), 5_001)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}\n", "is not a ledger"),
        ("no json\n", "is not a ledger"),
        ("[" * 100_000 + "\n", "is not a ledger"),
        ('{"version": 2, "bot": "trading/tested", "time": 1, "snapshot": {}}\n', "version 2"),
        ('{"version": 1, "bot": "x/y", "time": 1, "snapshot": {}}\n', "the ledger of x/y"),
        ('{"version": 1, "bot": "trading/tested", "time": 1, "snapshot": {}}\n{}\n', "not a ledg"),
    ],
)
def test_a_file_that_is_no_ledger_of_this_bot_is_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "ledger").write_text(content)
    with pytest.raises(StateFileError, match=message):
        journal(tmp_path / "ledger").read()


def test_one_process_uses_a_file_at_a_time(tmp_path: Path) -> None:
    first = journal(tmp_path / "ledger")
    with pytest.raises(StateFileError, match="used by another process"):
        journal(tmp_path / "ledger")
    first.close()
    journal(tmp_path / "ledger").close()


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match=r"cannot write .*none"):
        journal(tmp_path / "none" / "ledger")
