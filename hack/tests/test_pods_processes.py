"""The process of a container: its environment, its log, its signals, its end."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tradingbot_dev.pods.containers import Container, State
from tradingbot_dev.pods.plan import ContainerPlan
from tradingbot_dev.pods.records import read_ending
from tradingbot_dev.pods.status import Terminated
from tradingbot_dev.processes.launch import start_time
from tradingbot_dev.processes.table import Identity, ProcessTable, boot_id

NOW = datetime.now(UTC)
TRAP = "trap 'echo asked; exit 3' TERM; echo $$; while :; do sleep 0.05; done"


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    state = State(tmp_path)
    yield Container(state, "u1", "bot", state.logs("desk", "bot-1", "u1"))
    ProcessTable(run=state.run, log=tmp_path).end_strays()


def start(container: Container, *command: str, attempt: int = 0, **environment: str) -> None:
    directory = container.state.pod("u1").home
    plan = ContainerPlan("bot", command, directory, {"PATH": os.environ["PATH"], **environment})
    container.start(plan, attempt=attempt)


def shell(container: Container, script: str) -> Identity:
    """Start a script whose first line of output is its pid. Return its process."""
    start(container, "sh", "-c", script)
    eventually(lambda: "\n" in log(container))
    pid = int(log(container).split()[0])
    return Identity(pid, start_time(pid), boot_id())


def log(container: Container) -> str:
    return container.log_file(0).read_text()


def ending(container: Container) -> Terminated:
    eventually(lambda: container.running() is None)
    return read_ending(container.exit_file(0), started=NOW, now=NOW)


@pytest.mark.parametrize(("code", "reason"), [(0, "Completed"), (7, "Error")])
def test_an_exit_code_is_known_without_the_agent(
    container: Container, code: int, reason: str
) -> None:
    start(container, "sh", "-c", f"exit {code}")
    found = ending(container)
    assert (found.exit_code, found.reason) == (code, reason)
    assert found.finished >= found.started


def test_a_command_that_does_not_exist_is_a_start_error(container: Container) -> None:
    start(container, "/no/such/program")
    found = ending(container)
    assert (found.exit_code, found.reason) == (128, "StartError")
    assert found.message == "cannot run /no/such/program: No such file or directory"


def test_the_environment_is_the_declared_one_and_the_file_with_it_is_gone(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_USER", "x")
    start(container, "sh", "-c", "env; pwd; echo err >&2", KEY="s3cret")
    ending(container)
    said = log(container)
    assert "KEY=s3cret\n" in said
    assert "OF_THE_USER" not in said
    assert f"\n{container.state.pod('u1').home}\n" in said
    assert said.endswith("err\n")
    assert container.log_file(0).stat().st_mode & 0o777 == 0o600
    left = [path for path in container.state.path.rglob("*") if path.is_file()]
    left.remove(container.log_file(0))
    assert not any("s3cret" in path.read_text() for path in left)


def test_sigterm_reaches_the_process_which_may_end_as_it_likes(container: Container) -> None:
    process = shell(container, TRAP)
    container.terminate()
    assert ending(container).exit_code == 3
    assert log(container).endswith("asked\n")
    assert not process.alive()


def test_a_kill_ends_the_process_and_its_children(container: Container) -> None:
    process = shell(container, "trap '' TERM; sleep 600 & echo $$ $!; wait; wait")
    child = int(log(container).split()[1])
    container.terminate()
    container.kill()
    found = ending(container)
    assert (found.exit_code, found.reason) == (137, "Error")
    assert not process.alive()
    eventually(lambda: not Path(f"/proc/{child}").exists())


def test_children_do_not_outlive_the_process(container: Container) -> None:
    shell(container, "sleep 600 & echo $!; exit 0")
    child = int(log(container).split()[0])
    assert ending(container).exit_code == 0
    eventually(lambda: not Path(f"/proc/{child}").exists())


def test_the_process_does_not_outlive_its_shim(container: Container) -> None:
    process = shell(container, TRAP)
    shim = container.running()
    assert shim is not None
    shim.send(signal.SIGKILL)
    eventually(lambda: not process.alive())
    assert ending(container).reason == "ContainerStatusUnknown"


def test_of_the_logs_the_last_two_are_kept(container: Container) -> None:
    for attempt in range(4):
        start(container, "true", attempt=attempt)
        eventually(lambda: container.running() is None)
    kept = sorted(path.name for path in container.log_file(0).parent.iterdir())
    assert kept == ["2.log", "3.log"]
