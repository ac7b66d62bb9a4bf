"""`tradingbot registry COMMAND`, as it is typed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from in_process import run_here
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_registry.app import create_app, prepared_database

COMMANDS = ("backup", "restore", "check", "migrate", "export", "import")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with an asset."""
    path = tmp_path / "registry.db"
    client = create_app(prepared_database(f"sqlite:///{path}")).test_client()
    assert client.post("/api/v1/assets", json={"name": "a", "type": "Other"}).status_code == 201
    return path


def registry(
    database: Path | str, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command on that database."""
    return subprocess.run(
        [sys.executable, "-m", "tradingbot_cli", "registry", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "TRADINGBOT_REGISTRY_DATABASE_URL": f"sqlite:///{database}"},
        timeout=STUCK_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_and_is_in_that_of_the_registry(command: str) -> None:
    done = run_here("registry", command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: tradingbot registry {command} ")
    assert f"  registry {command} " in run_here("registry", "--help").stdout


def test_a_wrong_command_is_a_mistake_of_usage() -> None:
    done = run_here("registry", "bake")
    assert done.returncode == 2
    assert "choose from" in done.stderr


def test_serve_is_the_command_without_a_name() -> None:
    assert run_here("registry", "serve", "--help").stdout == run_here("registry", "--help").stdout


def test_a_copy_and_back(database: Path, tmp_path: Path) -> None:
    backup = str(tmp_path / "b.db")
    done = registry(database, "backup", backup)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"{backup}: 1 asset, 0 dependencies, 0 pending dependencies, 0 tags, 1 change, version 9"
        " of the schema; no faults\n"
    )
    done = registry(database, "restore", backup)
    assert done.returncode == 0
    assert "the old file is" in done.stdout
    assert registry(database, "backup", backup).stderr == (
        f"tradingbot: error: {backup} exists; name another file, or give --overwrite\n"
    )


def test_a_copy_through_a_pipe_is_restored(database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with copy.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "tradingbot_cli", "registry", "backup", "-"],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TRADINGBOT_REGISTRY_DATABASE_URL": f"sqlite:///{database}"},
            timeout=STUCK_SECONDS,
            check=False,
        )
    assert done.returncode == 0
    assert done.stderr.startswith("-: 1 asset")
    assert registry(database, "restore", str(copy)).returncode == 0
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".partial")]


@pytest.mark.parametrize("command", [("backup", "b.db"), ("restore", "b.db")])
def test_postgresql_has_backups_of_its_own(tmp_path: Path, command: tuple[str, str]) -> None:
    url = "postgresql://u:hunter2@127.0.0.1:1/x"
    done = registry("x", *command, "--database-url", url)
    assert done.returncode == 1
    assert "pg_dump" in done.stderr
    assert "hunter2" not in done.stderr


def test_faults_are_on_stdout_with_exit_code_1(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE asset SET status = 'x', version = 3")
    done = registry(database, "check")
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:-1]] == ["fault", "fault"]
    assert done.stdout.rstrip().endswith("; 2 faults")
    report = json.loads(registry(database, "check", "-o", "json").stdout)
    assert (report["schemaVersion"], report["faults"], len(report["findings"])) == (9, 2, 2)


def test_an_export_through_a_pipe_is_imported(database: Path, tmp_path: Path) -> None:
    text = registry(database, "export", "-").stdout
    done = registry(tmp_path / "new.db", "import", "-", stdin=text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("imported: 1 asset")
    again = registry(tmp_path / "new.db", "export", "-").stdout
    assert again.splitlines()[1:-1] == text.splitlines()[1:-1]
    assert registry(tmp_path / "new.db", "import", "-", stdin=text).returncode == 1


def test_a_migration_says_what_it_does(database: Path) -> None:
    assert registry(database, "migrate").stdout == (
        "the schema has version 9; there is nothing to migrate\n"
    )


@pytest.mark.parametrize("command", ["backup", "check", "migrate", "export"])
def test_a_database_that_does_not_exist_is_one_line(tmp_path: Path, command: str) -> None:
    arguments = [command] + ([str(tmp_path / "file")] if command in {"backup", "export"} else [])
    done = registry(tmp_path / "absent.db", *arguments)
    assert done.returncode == 1
    assert done.stderr == (
        f"tradingbot: error: database {tmp_path / 'absent.db'}: there is no such file\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_pipe_is_one_line(database: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tradingbot_cli", "registry", "export", "-"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TRADINGBOT_REGISTRY_DATABASE_URL": f"sqlite:///{database}"},
            timeout=STUCK_SECONDS,
            check=False,
        )
    assert done.returncode == 1
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
