import os
import re
import sys
import threading
from pathlib import Path

import clients
import pytest

ROOT = Path(clients.__file__).resolve().parent.parent
LOCK = (ROOT / clients.LOCK).read_text()
PAGES = ("exchange-clients.md", "exchange-binance.md", "exchange-coinbase.md")


def locked() -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", LOCK, flags=re.MULTILINE))


def test_the_page_names_the_locked_version_of_every_client() -> None:
    wanted = re.findall(
        r"^([a-z-]+)==", (ROOT / clients.CLIENTS / "requirements.in").read_text(), re.MULTILINE
    )
    page = (ROOT / "docs" / "exchange-clients.md").read_text()
    rows = dict(re.findall(r"^\| ([a-z-]+)[^|]*\| ([0-9.]+) \|", page, re.MULTILINE))
    assert rows == {name: locked()[name] for name in wanted}


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_another_version_of_a_client(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    named = re.findall(
        r"^\| (ccxt|python-binance|coinbase-advanced-py)[^|\d]*(?:\|[^|\d]*)?(\d+\.\d+\.\d+)",
        text,
        re.MULTILINE,
    )
    assert named
    assert [version for name, version in named if version != locked()[name]] == []


def test_the_lock_file_is_parted_without_loss() -> None:
    wheels, sources = clients.parted(LOCK)
    assert re.findall(r"^[a-z0-9-]+(?===)", sources, re.MULTILINE) == ["sdnotify"]
    assert "--hash=sha256:" in sources
    assert sorted((wheels + sources).splitlines()) == sorted(LOCK.splitlines())


def test_suites_are_told_from_arguments_of_pytest() -> None:
    assert clients.selected([]) == (list(clients.SUITES), [])
    assert clients.selected(["-k", "crash"]) == (list(clients.SUITES), ["-k", "crash"])
    assert clients.selected(["freqtrade", "-x"]) == (["freqtrade"], ["-x"])


def test_each_directory_of_tests_is_a_suite() -> None:
    files = [*ROOT.glob("exchange/clients/*/test_*.py"), *ROOT.glob("gateway/clients/test_*.py")]
    found = {file.parent.relative_to(ROOT) for file in files}
    assert found == set(clients.SUITES.values())


def test_another_lock_file_or_python_is_another_environment() -> None:
    names = {
        clients.environment_name(b"one", "3.13.0"),
        clients.environment_name(b"two", "3.13.0"),
        clients.environment_name(b"one", "3.13.1"),
    }
    assert len(names) == 3


def test_the_cache_is_where_xdg_says() -> None:
    there = clients.cache_directory({"XDG_CACHE_HOME": "/x", "HOME": "/home/user"})
    assert there == Path("/x/tradingbot/clients")
    for relative in ({}, {"XDG_CACHE_HOME": "relative"}):
        there = clients.cache_directory({**relative, "HOME": "/home/user"})
        assert there == Path("/home/user/.cache/tradingbot/clients")


def test_two_runs_at_once_install_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = []

    def install(_root: Path, venv: Path) -> None:
        installed.append(venv)
        venv.mkdir()

    monkeypatch.setattr(clients, "install", install)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(clients.environment(ROOT, tmp_path)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(installed) == 1
    assert found == installed * 4


def test_an_interrupted_installation_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_root: Path, venv: Path) -> None:
        venv.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(clients, "install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        clients.environment(ROOT, tmp_path)
    done = []
    monkeypatch.setattr(clients, "install", lambda _root, venv: done.append(venv))
    assert clients.environment(ROOT, tmp_path) == done[0]


def test_environments_that_nobody_uses_are_removed(tmp_path: Path) -> None:
    now = 1_000_000_000.0
    for name, age in (("used", 60), ("old", clients.UNUSED_SECONDS + 60)):
        (tmp_path / name).mkdir()
        (tmp_path / name / clients.STAMP).touch()
        os.utime(tmp_path / name / clients.STAMP, (now - age, now - age))
    (tmp_path / "incomplete").mkdir()
    clients.remove_unused(tmp_path, now=now)
    assert [each.name for each in tmp_path.iterdir()] == ["used"]


def test_too_little_space_is_said_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "NEEDED_BYTES", 10**18)
    with pytest.raises(clients.CannotTestError, match="free some space"):
        clients.install(ROOT, tmp_path / "venv")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_command_is_an_error_that_names_it() -> None:
    with pytest.raises(clients.CannotTestError, match="this command failed"):
        clients.run([sys.executable, "-c", "raise SystemExit(1)"])


def with_interpreter(venv: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `clients` run a shell script as the Python of its environment; $suite is the suite."""
    python = venv / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nfor path; do suite=$(basename "$path"); done\n{script}\n')
    python.chmod(0o755)
    monkeypatch.setattr(clients, "environment", lambda _root, _cache: venv)


def test_a_failed_suite_fails_and_its_output_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    script = f"""echo said $suite
case $suite in faults) exit 1;; nautilus) exit {clients.NOTHING_COLLECTED};; esac"""
    with_interpreter(tmp_path, script, monkeypatch)
    assert clients.main(["-k", "x"]) == 1
    shown = capfd.readouterr()
    assert all(f"said {path.name}" in shown.out for path in clients.SUITES.values())
    assert shown.err == "error: failed: faults\n"
    assert clients.main(["binance", "nautilus", "-k", "x"]) == 0
    assert clients.main(["nautilus", "-k", "x"]) == 1
    assert clients.main(["nautilus"]) == 1


def test_a_stuck_suite_is_killed_with_its_exchange_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clients, "STUCK_SECONDS", 1)
    # The second process has the pipe of the first one: the call returns when both have ended.
    with_interpreter(tmp_path, "echo said $suite; sleep 1000 & sleep 1000", monkeypatch)
    assert clients.main(["binance"]) == 1
    assert "said binance\nerror: not ended after 1 s\n" in capfd.readouterr().out
