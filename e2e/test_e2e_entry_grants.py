"""The right to enter, on local pods: it follows the limits at once, and one pod alone has it."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from impostor import Impostor
from live_bots import LiveBot, exchange
from person import Object, Person, eventually
from tradingbot_api.entry_grant import MARGIN_SECONDS
from tradingbot_dev.control_plane.components import LOCAL_PODS
from tradingbot_dev.processes.table import ProcessTable
from tradingbot_dev.product.system import System, temporary_system

GRANT_SECONDS = 60
"""Two thirds of it are left at any time, in which a busy machine starts another pod."""
STOPPED_WITHIN = 3.0
"""Seconds from a patch to the last entry that can pass."""
ROUNDS = 3
LEFT = 0.0009
"""Of BTC: what may be left of the limit when an entry is refused, the largest one and a little."""
HACK = Path(__file__).parent.parent / "hack"
ENOUGH = {"maxPositionSize": "1000"}
TOO_LITTLE = {"maxPositionSize": "1"}


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    settings = {
        "TRADINGBOT_OPERATOR_RISK_INTERVAL": "0.5",
        "TRADINGBOT_OPERATOR_GATEWAY_GRANT": str(GRANT_SECONDS),
        "TRADINGBOT_OPERATOR_GATEWAY_SILENCE": "30",
    }
    with temporary_system(environment=settings, local_pods=True) as running:
        yield running


@pytest.fixture
def bot(person: Person, tmp_path: Path) -> Iterator[LiveBot]:
    with exchange(tmp_path) as running:
        made = LiveBot(person, running, tmp_path / "tls.crt")
        made.apply()
        yield made
        person.kubectl("delete", "tradingbots", "--all")


def test_a_lowered_limit_and_a_pause_stop_entries_within_seconds(bot: LiveBot) -> None:
    for _ in range(ROUNDS):
        begun = bot.change({"riskManagement": TOO_LITTLE})
        assert bot.last_entry_after(begun, bot.address, watched=4) < STOPPED_WITHIN
        assert bot.enter(bot.address) in {"MaxPositionSize", "NotGranted"}
        bot.change({"riskManagement": ENOUGH})
        bot.await_right()
    address = bot.address
    begun = bot.change({"paused": True})
    assert bot.last_entry_after(begun, address, watched=4) < STOPPED_WITHIN
    bot.change({"paused": False})
    bot.await_right()
    assert bot.address != address


def test_an_operator_that_restarts_takes_nobodys_right(bot: LiveBot) -> None:
    before = bot.grant()
    bot.person.system.kill("operator")
    assert bot.enter(bot.address) == ""
    bot.person.system.start_one("operator")
    eventually(lambda: bot.grant() != before)
    assert bot.enter(bot.address) == ""


def test_without_an_operator_entries_end_and_exits_go_on(bot: LiveBot) -> None:
    address = bot.address
    assert bot.enter(address) == ""
    bot.person.system.kill("operator")
    try:
        eventually(lambda: bot.in_and_out(address) == "NotGranted", seconds=GRANT_SECONDS + 5)
        assert bot.leave(address) == ""
    finally:
        bot.person.system.start_one("operator")
    bot.await_right()


def kill_gateway(pod: Object) -> None:
    """Kill the process of the gateway's container, as the kernel does without memory."""
    (gateway,) = pod["status"]["initContainerStatuses"]
    os.kill(int(gateway["containerID"].removeprefix("process://")), signal.SIGUSR1)


def test_what_a_bot_reports_in_place_of_its_dead_gateway_counts_for_nothing(bot: LiveBot) -> None:
    before = eventually(bot.pod_whose_bot_has_run)
    with Impostor(before["status"]["podIP"]) as impostor:
        eventually(lambda: impostor.takes_the_port(kill=lambda: kill_gateway(bot.pod())))
        found = eventually(lambda: bot.gateway_condition("NotAvailable"))
        assert found["status"] == "False"
        impostor.answer()

        def replaced() -> bool:
            assert not {"/risk", "/moment"}.intersection(impostor.asked)
            return bool(bot.pod()["metadata"]["uid"] != before["metadata"]["uid"])

        eventually(replaced)
    events = bot.person.listed("events")
    assert "GatewaySilent" in {event["reason"] for event in events}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def lost_kubelet(system: System) -> Iterator[list[str]]:
    """Let the agent of the pods stand still, as the kubelet of a lost node. Yields its command."""
    agent = system.plane.table.running(LOCAL_PODS)
    assert agent is not None
    command = Path(f"/proc/{agent.pid}/cmdline").read_text().split("\0")[:-1]
    agent.send(signal.SIGSTOP)
    try:
        yield command
    finally:
        agent.send(signal.SIGCONT)


@contextmanager
def another_kubelet(command: list[str], directory: Path) -> Iterator[None]:
    """Run another agent, which knows nothing of the pods of the first one."""
    options = {"--state": str(directory / "node"), "--port": str(free_port())}
    changed = [
        f"{name}={options.get(name, value)}" if sign else name
        for name, sign, value in (argument.partition("=") for argument in command)
    ]
    with (directory / "agent.log").open("w") as log:
        agent = subprocess.Popen(
            changed, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(HACK)}
        )
        try:
            yield
        finally:
            agent.terminate()
            agent.wait(timeout=30)
            # After a failure, the processes of its pods are left.
            ProcessTable(run=directory / "node" / "run", log=directory).end_strays()


def test_the_pod_after_that_of_a_lost_node_waits_and_the_limit_is_not_spent_twice(
    bot: LiveBot, system: System, tmp_path: Path
) -> None:
    bot.flatten(bot.address)
    before = bot.grant()
    bot.change({"riskManagement": {"maxPositionSize": "200"}})
    eventually(lambda: bot.grant() != before)
    bot.await_right()
    lost = bot.pod()
    old, name = lost["status"]["podIP"], lost["metadata"]["name"]
    with lost_kubelet(system) as command:
        bot.person.kubectl("delete", "pod", name, "--grace-period=0", "--force")
        # The lost pod trades on, and spends the whole limit.
        eventually(lambda: bot.enter(old) == "MaxPositionSize")
        spent = bot.held()
        with another_kubelet(command, tmp_path):
            new = eventually(lambda: bot.address)
            eventually(lambda: bot.enter(new) == "NotGranted")
            condition = eventually(lambda: bot.gateway_condition("EntriesNotGranted"))
            assert f"pod {name} may still let entries through" in condition["message"]
            seen: list[tuple[str, str]] = []

            def both() -> bool:
                if not seen or seen[-1][0] != "NotGranted":
                    bot.leave(old)  # so that the lost one can enter again
                seen.append((bot.enter(old), bot.enter(new)))
                return seen[-1][1] != "NotGranted"

            eventually(both, seconds=GRANT_SECONDS + MARGIN_SECONDS + 30)
            # Never both; and what the lost one has bought counts for the new one.
            assert all("NotGranted" in pair for pair in seen)
            while bot.enter(new) == "":
                assert bot.enter(old) == "NotGranted"
            assert bot.held() < spent + LEFT
            bot.person.deleted("tradingbot", "guarded")
