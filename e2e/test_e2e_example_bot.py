"""The example of docs/bot-contract.md keeps the contract: as a process, and turn by turn."""

import ast
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from person import eventually
from tradingbot_api.contract import BotConfig, RiskReport
from tradingbot_api.trading_day import calendar_day, trading_day
from tradingbot_api.tradingbot import Schedule
from tradingbot_dev.control_plane.ports import Ports
from tradingbot_dev.processes.waiting import STUCK_SECONDS

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "docs" / "examples" / "bot.py"
PAGE_SCHEMA = json.loads((ROOT / "docs" / "schemas" / "bot-v1.schema.json").read_text())
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

CHANGES = {
    "UTC": ["2026-03-29T01:00Z"],
    "Europe/Berlin": ["2026-03-29T01:00Z", "2026-10-25T01:00Z"],
    "America/New_York": ["2026-03-08T07:00Z", "2026-11-01T06:00Z"],
    "America/St_Johns": ["2006-04-02T03:31Z", "2006-10-29T02:31Z"],
    "America/Sao_Paulo": ["2018-11-04T03:00Z", "2018-02-18T02:00Z"],
    "Africa/Cairo": ["2026-04-23T22:00Z", "2026-10-29T21:00Z"],
    "Australia/Lord_Howe": ["2026-04-04T15:00Z", "2026-10-03T15:30Z"],
    "Pacific/Apia": ["2011-12-30T10:00Z"],  # a whole day was left out
}
"""Zones, and instants at which their clocks were changed."""

zones = st.sampled_from(sorted(CHANGES))
starts = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
calendars = st.fixed_dictionaries({"timeZone": zones, "dayStart": starts})
distances = st.integers(-200, 200) | st.integers(-3000, 3000)


def near_a_change(zone: str) -> st.SearchStrategy[datetime]:
    """Instants around those at which the zone's clocks change."""
    changes = st.sampled_from([datetime.fromisoformat(text) for text in CHANGES[zone]])
    return st.builds(lambda at, minutes: at + timedelta(minutes=minutes), changes, distances)


def bot_json(hash_: str = "hash-1", **parts: Any) -> str:
    """A bot.json; `parts` are put over its parts."""
    config = {**json.loads(json.dumps(PAGE_SCHEMA["examples"][0])), "configHash": hash_}
    config["schedule"] = {"timeZone": "UTC", "dayStart": "00:00", "windows": [], "blackouts": []}
    for name, part in parts.items():
        config[name] = {**config[name], **part} if isinstance(part, dict) else part
    text = json.dumps(config)
    if config["mode"] == "Paper" and config["schemaVersion"] == "v1":
        BotConfig.model_validate_json(text)
    return text


class Volume:
    """A mounted ConfigMap: the kubelet swaps a link to a whole directory, never a file."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.file = folder / "bot.json"
        self.file.symlink_to("..data/bot.json")
        self._swaps = 0
        self.write(text)

    def write(self, text: str) -> None:
        self._swaps += 1
        version = self.folder / f"..2026_11_24_{self._swaps}"
        version.mkdir()
        (version / "bot.json").write_text(text)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(self.folder / "..data")


@dataclass(frozen=True)
class Running:
    """The example as a process."""

    process: "subprocess.Popen[bytes]"
    port: int

    def report(self) -> RiskReport | None:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/risk", timeout=2) as answer:
                return RiskReport.model_validate_json(answer.read())
        except HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
        except OSError:
            assert self.process.poll() is None
        return None

    def report_with(self, hash_: str) -> RiskReport:
        def look() -> RiskReport | None:
            report = self.report()
            return report if report is not None and report.config_hash == hash_ else None

        found = eventually(look)
        assert found is not None
        return found


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path, bot_json())


@pytest.fixture
def running(volume: Volume) -> Iterator[Running]:
    port = Ports.free().registry
    environment = {**os.environ, "TRADINGBOT_CONFIG": str(volume.file), "PORT": str(port)}
    process = subprocess.Popen([sys.executable, str(EXAMPLE)], env=environment)
    try:
        yield Running(process, port)
    finally:
        process.kill()
        process.wait()


def test_it_reports_takes_up_a_changed_bot_json_and_ends_when_asked(
    running: Running, volume: Volume
) -> None:
    before = datetime.now(UTC)
    first = running.report_with("hash-1")
    assert (first.day_pnl, first.open_positions, first.exposure) == (0, 0, 0)
    assert first.trading_day in {before.date(), datetime.now(UTC).date()}
    assert before <= first.time <= datetime.now(UTC)

    volume.write(bot_json("hash-2", risk={"dailyLossLimit": "50"}))
    second = running.report_with("hash-2")
    assert second.time > first.time

    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=10) == 0


def test_behind_a_gateway_it_leaves_the_report_and_its_port_to_it(volume: Volume) -> None:
    with socket.create_server(("", 0)) as gateway:
        # Coverage catches SIGTERM too, before the bot does, and ends the process by it.
        unmeasured = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
        environment = {
            **unmeasured,
            "TRADINGBOT_CONFIG": str(volume.file),
            "PORT": str(gateway.getsockname()[1]),
            "EXCHANGE_BASE_URL": "http://127.0.0.1:8081",
        }
        process = subprocess.Popen([sys.executable, str(EXAMPLE)], env=environment)
        try:
            eventually(lambda: catches_sigterm(process.pid))
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=STUCK_SECONDS) == 0
        finally:
            process.kill()
            process.wait()


def catches_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (caught,) = re.findall(r"^SigCgt:\s+(\w+)$", status, re.MULTILINE)
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


def test_a_bot_json_that_is_none_changes_nothing(running: Running, volume: Volume) -> None:
    running.report_with("hash-1")
    for text in ("{", "[]", "null", bot_json("hash-2", schemaVersion="v2"), bot_json(mode="Live")):
        volume.write(text)
        before = datetime.now(UTC)
        eventually(lambda since=before: (r := running.report()) is not None and r.time > since)
        report = running.report()
        assert report is not None
        assert report.config_hash == "hash-1"
    volume.write(bot_json("hash-3"))
    running.report_with("hash-3")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("example_bot", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Desk:
    """The example's bot with our book, on our clock."""

    def __init__(self, example: ModuleType, volume: Volume) -> None:
        example.CONFIG = volume.file  # type: ignore[attr-defined]
        self.unknown = example.UnknownError
        self.unrealized: Decimal | None = Decimal(0)
        self.entries: list[bool] = []
        self.cancelled = 0
        desk = self

        class Book(example.Book):  # type: ignore[misc, name-defined]
            def unrealized(self) -> Decimal:
                if desk.unrealized is None:
                    raise desk.unknown
                return desk.unrealized

            def trade(self, _: dict[str, Any], *, entries: bool) -> None:
                desk.entries.append(entries)

            def cancel_entries(self) -> None:
                desk.cancelled += 1

        self.bot = example.Bot(Book(), NOW)

    def at(self, now: datetime) -> RiskReport | None:
        self.bot.turn(now)
        return RiskReport.model_validate_json(self.bot.report) if self.bot.report else None

    def pnl_at(self, now: datetime) -> Decimal:
        report = self.at(now)
        assert report is not None
        return report.day_pnl


@pytest.fixture
def desk(example: ModuleType, volume: Volume) -> Desk:
    return Desk(example, volume)


def test_it_needs_nothing_but_the_standard_library() -> None:
    for node in ast.walk(ast.parse(EXAMPLE.read_text())):
        if isinstance(node, ast.ImportFrom | ast.Import):
            name = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            assert str(name).partition(".")[0] in sys.stdlib_module_names


@settings(deadline=None, max_examples=500)
@given(st.data(), calendars)
def test_its_trading_day_is_the_operators(
    example: ModuleType, data: st.DataObject, calendar: dict[str, str]
) -> None:
    now = data.draw(near_a_change(calendar["timeZone"]))

    mine = example.trading_day(calendar, now)

    assert mine == calendar_day(Schedule.model_validate(calendar), now).date


@settings(deadline=None, max_examples=200)
@given(calendars, calendars, st.data(), st.lists(st.integers(1, 2000), min_size=1, max_size=60))
def test_after_an_edit_of_the_calendar_it_goes_on_in_step_with_the_operator(
    example: ModuleType,
    before: dict[str, str],
    after: dict[str, str],
    data: st.DataObject,
    steps: list[int],
) -> None:
    now = data.draw(near_a_change(after["timeZone"]))
    bot = object.__new__(example.Bot)
    bot.book, bot.halted = example.Book(), False
    bot.schedule, bot.day = before, example.trading_day(before, now)
    bot.config = {"schedule": after, "risk": {"dailyLossLimit": "1"}, "configHash": "h"}
    operators = trading_day(Schedule.model_validate(before), now, None)
    for minutes in steps:
        now += timedelta(minutes=minutes)
        operators = trading_day(Schedule.model_validate(after), now, operators)
        assert bot.current_report(now)["tradingDay"] == operators.date.isoformat()


def test_a_loss_of_yesterday_is_not_charged_to_today(desk: Desk) -> None:
    desk.unrealized = Decimal(-100)
    assert desk.pnl_at(NOW) == -100

    assert desk.pnl_at(NOW + timedelta(days=1)) == 0
    desk.unrealized = Decimal(-130)
    assert desk.pnl_at(NOW + timedelta(days=1, hours=1)) == -30


def test_the_daily_limit_holds_for_the_rest_of_the_day_and_then_no_more(desk: Desk) -> None:
    desk.unrealized = Decimal(-150)
    desk.at(NOW)
    assert desk.cancelled == 1
    desk.unrealized = Decimal(100)
    desk.at(NOW + timedelta(hours=1))
    assert desk.entries[-1] is False

    desk.at(NOW + timedelta(days=1))
    desk.at(NOW + timedelta(days=1, hours=1))
    assert desk.entries[-1] is True
    assert desk.cancelled == 1


def test_while_its_prices_are_unknown_it_reports_nothing(desk: Desk) -> None:
    assert desk.at(NOW) is not None
    desk.unrealized = None

    assert desk.at(NOW + timedelta(seconds=1)) is None
    assert desk.cancelled == 1


def test_a_day_that_begins_while_prices_are_unknown_begins_once_they_are_known(desk: Desk) -> None:
    desk.unrealized = Decimal(-100)
    desk.at(NOW)
    desk.unrealized = None
    assert desk.at(NOW + timedelta(days=1)) is None
    desk.unrealized = Decimal(-40)

    report = desk.at(NOW + timedelta(days=1, seconds=1))

    assert report is not None
    assert (report.trading_day, report.day_pnl) == ((NOW + timedelta(days=1)).date(), 0)
