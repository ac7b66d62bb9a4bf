"""`make up` and `make down` on a real control plane, with their own state and ports."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from tradingbot_dev.control_plane.ports import BASE_VARIABLE, Ports
from tradingbot_dev.pods.ending import process_names
from tradingbot_dev.pods.images import IMAGES
from tradingbot_dev.processes.table import ProcessTable, marked
from tradingbot_dev.processes.waiting import STUCK_SECONDS, wait_until
from tradingbot_dev.product import lifecycle, tour
from tradingbot_dev.product.manifests import ROOT, SAMPLE_BOT
from tradingbot_dev.progress import Progress

BOT = "tradingbot/arb-bot-binance"


@dataclass(frozen=True)
class Checkout:
    """Runs what `make` runs, with its own state directory and ports."""

    state: Path
    base: int

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT / "hack"), BASE_VARIABLE: str(self.base)}

    def command(self, name: str) -> list[str]:
        return [sys.executable, "-m", "tradingbot_dev", "--state", str(self.state), name]

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name),
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def done(self, name: str) -> str:
        done = self.run(name)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pids(self) -> dict[str, int | None]:
        return lifecycle.status(self.state)

    def commands(self) -> list[str]:
        """Return the command lines of the running processes."""
        found = []
        for identity in marked(self.state / "run"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                found.append(Path(f"/proc/{identity.pid}/cmdline").read_text().replace("\0", " "))
        return found

    def kubectl(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("kubectl")), *arguments],
            env={**os.environ, "KUBECONFIG": str(self.state / "kubeconfig")},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def versions(self) -> dict[str, str]:
        """Return the resource versions of what `up` installs.

        For a bot, return the generation: the operator continues to write its status.
        """
        kinds = "crd,clusterroles,validatingwebhookconfigurations,mutatingwebhookconfigurations"
        listed = json.loads(self.kubectl("get", f"{kinds},tradingbots,secrets", "-o", "json"))
        return {
            item["metadata"]["uid"]: item["metadata"][
                "generation" if item["kind"] == "TradingBot" else "resourceVersion"
            ]
            for item in listed["items"]
        }


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path_factory.mktemp("checkout") / ".local", Ports.free().kube_apiserver)
    yield checkout
    lifecycle.clean(checkout.state)


@pytest.fixture
def running(checkout: Checkout) -> Checkout:
    if not (checkout.pids() and all(checkout.pids().values())):
        checkout.done("up")
    return checkout


def test_up_starts_everything_and_its_tour_shows_what_really_happened(checkout: Checkout) -> None:
    said = checkout.done("up")
    assert all(checkout.pids().values())
    assert "spec.exchange.apiKeyPath" in said
    assert "status.effective.riskManagement.takeProfitPercentage  5" in said
    assert "deployment.apps/arb-bot-binance" in said
    assert 'spec.riskManagement.maxPositionSize: Invalid value: "0"' in said
    assert "price-history" in said
    assert "Four bots trade on simulated exchanges" in said
    assert "make crash" in said
    assert f"export KUBECONFIG={checkout.state / 'kubeconfig'}" in said
    assert "\033" not in said, "no colours where nobody looks"


def test_a_second_up_changes_nothing(running: Checkout) -> None:
    pids, versions = running.pids(), running.versions()
    said = running.done("up")
    assert "nothing was changed" in said
    assert running.pids() == pids
    assert running.versions() == versions


@pytest.mark.parametrize(
    "names", [("operator", "registry"), ("webhooks", "kwok", "etcd")], ids="+".join
)
def test_after_a_crash_up_brings_back_those_processes_and_no_other(
    running: Checkout, names: tuple[str, ...]
) -> None:
    before = running.pids()
    for name in names:
        victim = before[name]
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
    said = running.done("up")
    started = said.partition("started ")[2].partition(" in ")[0]
    assert set(started.split(", ")) == set(names)
    after = running.pids()
    assert all(after.values())
    assert {other for other in after if after[other] != before[other]} == set(names)


@pytest.fixture
def walker(running: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """Run the example bot as the only local pod."""
    image = next(image for image in IMAGES if "example" in image)
    text = SAMPLE_BOT.read_text().replace("ghcr.io/example/arb-bot:latest", f"{image}:1")
    text = text.replace("  riskManagement:", "  riskManagement:\n    enforcement: Bot")
    (tmp_path / "bot.yaml").write_text(text.replace("arb-bot-binance", "walker"))
    table = ProcessTable(run=running.state / "run", log=running.state / "log")
    demo = ("arbitrage", "careless", "market-maker", "trend-follower")
    running.kubectl("delete", "tradingbots", "--ignore-not-found", *demo)
    wait_until(lambda: process_names(table) == [], what="the end of the demo", seconds=60)
    running.kubectl("apply", f"--filename={tmp_path / 'bot.yaml'}")
    what = "the process of the pod with its shim"
    wait_until(lambda: len(local_processes(running)) == 2, what=what)
    yield running
    running.kubectl("delete", "tradingbot", "walker")
    wait_until(lambda: process_names(table) == [], what="the end of the pod")


def test_local_pods_survive_up_and_their_agent(walker: Checkout) -> None:
    table = ProcessTable(run=walker.state / "run", log=walker.state / "log")
    before = local_processes(walker)

    assert "nothing was changed" in walker.done("up")
    assert local_processes(walker) == before

    table.kill("local-pods")
    assert "started local-pods in" in walker.done("up")
    assert local_processes(walker) == before


def local_processes(checkout: Checkout) -> set[int]:
    """Return the pids of the processes of pods."""
    table = ProcessTable(run=checkout.state / "run", log=checkout.state / "log")
    sessions = {found.pid for name, found in table.all_running().items() if "pod-" in name}
    return {
        found.pid for found in marked(checkout.state / "run") if os.getsid(found.pid) in sessions
    }


def test_what_the_user_made_of_the_sample_survives_another_up(running: Checkout) -> None:
    patch = '{"spec": {"riskManagement": {"maxPositionSize": "777"}}}'
    running.kubectl("patch", BOT, "--type=merge", f"--patch={patch}")
    running.done("up")
    where = "jsonpath={.spec.riskManagement.maxPositionSize}"
    assert running.kubectl("get", BOT, f"--output={where}") == "777"


def test_down_stops_everything_and_only_that_and_the_state_survives(walker: Checkout) -> None:
    uid = walker.kubectl("get", BOT, "--output=jsonpath={.metadata.uid}")
    assert walker.run("status").returncode == 0
    with subprocess.Popen(["sleep", "600"]) as bystander:
        said = walker.done("down")
        assert bystander.poll() is None
        bystander.kill()
    assert all(name in said for name in walker.pids())
    assert "pod default/walker-" in said
    assert not any(walker.pids().values())
    assert list(marked(walker.state / "run")) == []
    assert walker.done("down") == "nothing was running\n"

    done = walker.run("status")
    assert done.returncode == 1
    stopped = [line for line in done.stdout.splitlines() if line.endswith(" not running")]
    assert len(stopped) == len(walker.pids())

    walker.done("up")
    assert walker.kubectl("get", BOT, "--output=jsonpath={.metadata.uid}") == uid

    def restarted() -> bool:
        where = "jsonpath={.items[*].status.containerStatuses[*].restartCount}"
        return walker.kubectl("get", "pods", "-l=trading.io/bot=walker", f"-o={where}") == "1"

    wait_until(restarted, what="the restarted pod")


def test_clean_forgets_the_state_and_finds_processes_whose_pid_files_are_gone(
    running: Checkout,
) -> None:
    shutil.rmtree(running.state / "run")
    # `clean` stops what runs as `down` does.
    assert "process " in running.done("clean")
    assert not running.state.exists()
    assert list(marked(running.state / "run")) == []


def test_a_taken_port_is_one_line_and_nothing_is_started(checkout: Checkout) -> None:
    checkout.done("down")
    registry = Ports.from_base(checkout.base).registry
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", registry))
        taken.listen()
        done = checkout.run("up")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: port {registry}, which registry needs, is taken by ")
    assert f"(pid {os.getpid()})" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(marked(checkout.state / "run")) == []


@pytest.fixture
def in_a_terminal() -> Iterator[None]:
    """Let children get SIGHUP: they inherit that it is ignored, as `nohup` sets it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("in_a_terminal")
@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGINT,),
        (signal.SIGTERM,),
        (signal.SIGHUP,),
        # `make` passes SIGTERM on, which its process group may have received too.
        (signal.SIGINT, signal.SIGTERM),
    ],
    ids=lambda numbers: "+".join(number.name for number in numbers),
)
def test_an_interrupted_up_stops_what_it_had_started(
    checkout: Checkout, numbers: tuple[signal.Signals, ...]
) -> None:
    checkout.done("down")
    with subprocess.Popen(
        checkout.command("up"),
        env=checkout.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as starting:
        deadline = time.monotonic() + STUCK_SECONDS
        table = ProcessTable(run=checkout.state / "run", log=checkout.state / "log")
        while table.running("kube-apiserver") is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for number in numbers:
            starting.send_signal(number)
        said, complaint = starting.communicate(timeout=STUCK_SECONDS)
    assert checkout.commands() == []
    assert starting.returncode == 130
    assert complaint.strip() == "interrupted"
    assert "stopped everything that this run had started" in said


@pytest.mark.parametrize("named", [True, False], ids=["with a pid file", "without"])
def test_an_interrupt_at_the_start_of_a_process_leaves_nothing(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    checkout.done("down")
    await_pid_file = ProcessTable._await_pid_file

    def interrupted(table: ProcessTable, name: str, pid: int) -> None:
        """Interrupt `up` after the process exists and before `up` can note that."""
        if named or name != "kube-apiserver":
            await_pid_file(table, name, pid)
        if name == "kube-apiserver":
            raise KeyboardInterrupt

    monkeypatch.setattr(ProcessTable, "_await_pid_file", interrupted)
    monkeypatch.setenv(BASE_VARIABLE, str(checkout.base))
    with pytest.raises(KeyboardInterrupt):
        lifecycle.up(checkout.state, progress=Progress(StringIO()))
    assert checkout.commands() == []


def test_the_tour_lists_only_what_the_file_lacks_or_has_otherwise() -> None:
    given = {"spec": {"mode": "Paper", "money": 1, "risk": {"a": "1"}}}
    stored = {"spec": {"mode": "Paper", "money": "1", "risk": {"a": "1", "b": True}}}
    assert list(tour.filled_in(given, stored)) == [("spec.money", "1"), ("spec.risk.b", "true")]


def test_the_sample_that_the_tour_speaks_of_is_the_one_that_is_applied() -> None:
    assert SAMPLE_BOT.read_text().count("name: arb-bot-binance") == 1
