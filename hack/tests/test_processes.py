"""Started processes are found again, and no other process is ever signalled."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tradingbot_dev.errors import ProcessDiedError
from tradingbot_dev.processes import launch
from tradingbot_dev.processes.table import Identity, ProcessTable, Program, boot_id, marked
from tradingbot_dev.processes.waiting import STUCK_SECONDS

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ProcessTable]:
    table = ProcessTable(run=tmp_path / "run", log=tmp_path / "log")
    yield table
    table.end_strays()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that is not in the table."""
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.kill()


def eventually(condition: object, *, seconds: float = STUCK_SECONDS) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.01)


def write_pid_file(table: ProcessTable, name: str, **record: object) -> None:
    table.run.mkdir(parents=True, exist_ok=True)
    table.pid_file(name).write_text(json.dumps(record))


def test_a_started_process_is_found_by_another_table_of_the_same_directory(
    table: ProcessTable,
) -> None:
    table.start(Program("one", SLEEP))
    found = ProcessTable(run=table.run, log=table.log).running("one")
    assert found is not None
    assert found.fingerprint == Program("one", SLEEP).fingerprint
    assert os.getsid(found.pid) == found.pid, "it is the leader of a session of its own"


def test_a_stopped_process_is_gone_and_so_is_its_pid_file(table: ProcessTable) -> None:
    table.start(Program("one", SLEEP))
    assert table.stop("one", "never-started") == ["one"]
    assert table.running("one") is None
    assert not table.pid_file("one").exists()
    assert list(marked(table.run)) == []


def test_a_recycled_pid_is_neither_claimed_nor_signalled(
    table: ProcessTable, bystander: subprocess.Popen[bytes]
) -> None:
    started = launch.start_time(bystander.pid)
    write_pid_file(
        table, "one", pid=bystander.pid, startTime=started - 1, bootId=boot_id(), fingerprint=""
    )
    assert table.running("one") is None
    assert table.stop("one") == []
    table.kill("one")
    Identity(bystander.pid, started - 1, boot_id()).send(signal.SIGKILL)
    assert bystander.poll() is None


def test_a_pid_file_from_before_a_reboot_claims_nothing(
    table: ProcessTable, bystander: subprocess.Popen[bytes]
) -> None:
    started = launch.start_time(bystander.pid)
    write_pid_file(
        table, "one", pid=bystander.pid, startTime=started, bootId="another", fingerprint=""
    )
    assert table.stop("one") == []
    assert bystander.poll() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', "123"])
def test_an_unreadable_pid_file_claims_nothing(table: ProcessTable, content: str) -> None:
    table.run.mkdir(parents=True)
    table.pid_file("one").write_text(content)
    assert table.running("one") is None
    assert table.stop("one") == []


def test_a_killed_process_counts_as_ended_though_nobody_waited_for_it(
    table: ProcessTable,
) -> None:
    table.start(Program("one", SLEEP))
    identity = table.running("one")
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    eventually(lambda: table.running("one") is None)


def test_one_that_ignores_sigterm_is_killed_after_the_grace_period(table: ProcessTable) -> None:
    table.start(Program("deaf", (sys.executable, "-c", DEAF)))
    eventually(lambda: "deaf" in table.log_file("deaf").read_text())
    began = time.monotonic()
    assert table.stop("deaf", grace=0.3) == ["deaf"]
    assert time.monotonic() - began >= 0.3
    assert list(marked(table.run)) == []


def test_a_command_that_cannot_be_run_says_so_in_its_log(table: ProcessTable) -> None:
    table.start(Program("absent", ("/no/such/program",)))
    eventually(lambda: table.running("absent") is None)
    died = table.died("absent")
    assert isinstance(died, ProcessDiedError)
    assert "absent has ended unexpectedly" in str(died)
    assert "cannot run /no/such/program: No such file or directory" in died.detail


def test_workers_that_outlive_their_killed_parent_are_found_by_their_mark(
    table: ProcessTable,
) -> None:
    table.start(Program("parent", (sys.executable, "-c", PARENT)))
    eventually(lambda: table.log_file("parent").read_text().endswith("\n"))
    worker = int(table.log_file("parent").read_text())
    table.kill("parent")
    eventually(lambda: [found.pid for found in marked(table.run)] == [worker])
    assert table.end_strays() == [worker]
    assert list(marked(table.run)) == []


def test_ending_strays_spares_what_is_kept_and_other_directories(
    table: ProcessTable, tmp_path: Path
) -> None:
    other = ProcessTable(run=tmp_path / "other", log=tmp_path / "log")
    table.start(Program("kept", SLEEP))
    table.start(Program("lost", SLEEP))
    other.start(Program("foreign", SLEEP))
    kept, lost = table.running("kept"), table.running("lost")
    table.pid_file("lost").unlink()
    try:
        assert kept is not None
        assert lost is not None
        assert table.end_strays(keep=[kept]) == [lost.pid]
        assert table.running("kept") is not None
        assert other.running("foreign") is not None
    finally:
        other.stop("foreign")


def test_nothing_of_our_own_environment_leads_a_child_to_another_cluster(
    table: ProcessTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/production")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("TRADINGBOT_REGISTRY_PORT", "1")
    show = (sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")
    table.start(Program("show", show, environment={"ASKED": "yes"}))
    eventually(lambda: table.log_file("show").read_text().endswith("\n"))
    seen = json.loads(table.log_file("show").read_text())
    assert seen["ASKED"] == "yes"
    assert not {"KUBECONFIG", "KUBERNETES_SERVICE_HOST", "TRADINGBOT_REGISTRY_PORT"} & seen.keys()


def test_a_child_whose_parent_is_gone_before_it_named_itself_does_not_run(tmp_path: Path) -> None:
    pid_file = tmp_path / "one.pid"
    done = subprocess.run(
        [sys.executable, "-I", "-S", launch.__file__, str(pid_file), "1", str(tmp_path), "echo"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "has ended" in done.stderr
    assert not pid_file.exists()


GUARDED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it
from tradingbot_dev.control_plane.plane import temporary_directory
from tradingbot_dev.processes.table import ProcessTable, Program
with temporary_directory() as directory:
    table = ProcessTable(run=directory / "run", log=directory / "log")
    table.start(Program("one", ("sleep", "600")))
    print(directory, flush=True)
    {then}
"""


def guarded(then: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", GUARDED.format(then=then)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(launch.__file__).parents[2])},
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_test_run_that_was_ended_from_outside(number: signal.Signals) -> None:
    with guarded("import time; time.sleep(600)") as run:
        assert run.stdout is not None
        directory = Path(run.stdout.readline().strip())
        try:
            eventually(lambda: len(list(marked(directory / "run"))) == 1)
            run.send_signal(number)
            run.wait(timeout=STUCK_SECONDS)
        finally:
            run.kill()
    eventually(lambda: not directory.exists())
    assert list(marked(directory / "run")) == []


def test_one_that_is_just_becoming_another_program_is_not_overlooked(
    table: ProcessTable,
) -> None:
    for _ in range(30):
        table.start(Program("one", SLEEP))
        assert len(table.end_strays()) == 1
        assert table.running("one") is None


def test_nothing_is_left_of_a_test_run_that_ends_by_itself() -> None:
    with guarded("pass") as run:
        assert run.stdout is not None
        directory = Path(run.stdout.readline().strip())
    assert not directory.exists()
    assert list(marked(directory / "run")) == []
