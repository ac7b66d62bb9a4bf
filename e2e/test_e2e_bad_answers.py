"""What the operator makes of an API server that answers badly, or not at all.

The API server is the real one; a proxy before it makes the faults that it can't be asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from faulty_proxy import GONE, FaultyProxy, line_of
from person import Person, eventually, sample, sample_bot
from tradingbot_dev.apiclient import http_answer
from tradingbot_dev.ports import Ports
from tradingbot_dev.system import OPERATOR, System

BOT = "arb-bot-binance"
NAME = "operator-behind-proxy"
SILENCE = 120.0
"""Seconds; a watch in which nothing is said is begun anew after 70."""


@dataclass(frozen=True)
class Behind:
    """The operator behind a proxy, and the process that it was when it started."""

    proxy: FaultyProxy
    system: System
    port: int
    pid: int

    def same_process(self) -> bool:
        running = self.system.plane.table.running(NAME)
        return running is not None and running.pid == self.pid

    def is_ready(self) -> bool:
        answer = http_answer(self.port, "/readyz")
        return answer is not None and answer.status == 200


@pytest.fixture
def behind(system: System) -> Iterator[Behind]:
    """In place of the usual operator."""
    plane = system.plane
    port = Ports.free().operator_health
    system.stop_one(OPERATOR)
    try:
        with FaultyProxy(plane.server, plane.pki.ca).serving() as proxy:
            system.start_another_operator(NAME, health_port=port, settings={}, server=proxy.url)
            try:
                running = plane.table.running(NAME)
                assert running is not None
                one = Behind(proxy, system, port, running.pid)
                eventually(one.is_ready)
                yield one
                assert one.same_process(), system.log_file(NAME).read_text()[-3000:]
            finally:
                plane.table.kill(NAME)
    finally:
        system.start_one(OPERATOR)


def limit_in_config_map(person: Person) -> str:
    found = person.get("configmap", f"{BOT}-config") or {}
    return str(found.get("data", {}).get("bot.json", ""))


def edit(person: Person, limit: int) -> None:
    """Another size limit, that is to reach bot.json."""
    patch = f'{{"spec": {{"riskManagement": {{"maxPositionSize": "{limit}"}}}}}}'
    done = person.kubectl("patch", "tbot", BOT, "--type=merge", "-p", patch)
    assert done.returncode == 0, done.stderr


def reaches(person: Person, limit: int, *, seconds: float = 60.0) -> None:
    eventually(lambda: f'"{limit}"' in limit_in_config_map(person), seconds=seconds)


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_errors_in_answer_to_everything_are_waited_out(
    behind: Behind, person: Person, status: int
) -> None:
    behind.proxy.fail(status, times=6)
    person.applied(sample("secret.yaml"), sample_bot())
    person.await_phase(BOT, "Running", seconds=90)
    assert behind.proxy.failed_all()


def test_conflicts_in_answer_to_writes_are_tried_again(behind: Behind, person: Person) -> None:
    behind.proxy.fail(409, times=4, writes_only=True)
    person.applied(sample("secret.yaml"), sample_bot())
    person.await_phase(BOT, "Running", seconds=90)
    assert behind.proxy.failed_all()


def test_what_happened_before_a_watch_says_410_gone_is_not_missed(
    behind: Behind, person: Person
) -> None:
    person.running_bot()
    behind.proxy.silence_watches()
    edit(person, 4711)
    person.kubectl("delete", "deployment", BOT)
    assert behind.proxy.tell_watches(line_of(GONE)) >= 5
    behind.proxy.end_watches()
    reaches(person, 4711)
    eventually(lambda: person.get("deployment", BOT))
    edit(person, 4712)
    reaches(person, 4712)


@pytest.mark.parametrize(
    "line",
    [b'{"type": "MODIFIED", "obj\n', b"\xff\xfe not JSON\n", b"[1, 2]\n", b'{"type": "NEW"}\n'],
    ids=["cut off", "no JSON", "no object", "of an unknown type"],
)
def test_a_line_in_a_watch_that_is_no_event_costs_nothing_but_a_new_watch(
    behind: Behind, person: Person, line: bytes
) -> None:
    person.running_bot()
    assert behind.proxy.tell_watches(line) >= 5
    edit(person, 4711)
    reaches(person, 4711)
    person.kubectl("delete", "deployment", BOT)
    eventually(lambda: person.get("deployment", BOT))


def test_a_network_that_was_cut_for_a_while_costs_only_that_while(
    behind: Behind, person: Person
) -> None:
    person.running_bot()
    behind.proxy.down = True
    behind.proxy.tell_watches(line_of({}))  # each finds that it is cut
    edit(person, 4711)
    eventually(lambda: "watch" in behind.system.log_file(NAME).read_text())
    behind.proxy.down = False
    reaches(person, 4711)
    edit(person, 4712)
    reaches(person, 4712)


def test_a_watch_that_has_gone_silent_is_noticed(behind: Behind, person: Person) -> None:
    person.running_bot()
    assert behind.proxy.silence_watches() >= 5
    edit(person, 4711)
    reaches(person, 4711, seconds=SILENCE)
