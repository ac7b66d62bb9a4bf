"""What the operator makes of an API server that answers badly, or not at all.

The API server is the real one; a proxy before it makes the faults that it can't be asked for.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from faulty_proxy import GONE, FaultyProxy, line_of
from person import PATIENCE, Person, eventually, sample, sample_bot
from tradingbot_dev.control_plane.apiclient import http_answer
from tradingbot_dev.control_plane.ports import Ports
from tradingbot_dev.product.system import OPERATOR, System
from tradingbot_operator import FINALIZER

BOT = "arb-bot-binance"
NAME = "operator-behind-proxy"
KINDS = {
    "tradingbots": "TradingBot",
    "assetregistries": "AssetRegistry",
    "deployments": "Deployment",
    "configmaps": "ConfigMap",
    "services": "Service",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "networkpolicies": "NetworkPolicy",
    "pods": "Pod",
}
SILENCE = 120.0
"""Seconds; a watch in which nothing is said is begun again after 70."""


@dataclass
class Behind:
    """The operator behind a proxy, and the process that it was when it started."""

    proxy: FaultyProxy
    system: System
    port: int
    pid: int

    def same_process(self) -> bool:
        running = self.system.plane.table.running(NAME)
        return running is not None and running.pid == self.pid

    def restart(self) -> None:
        """SIGTERM, which must be obeyed, and another start; ready when this returns."""
        table = self.system.plane.table
        running = table.running(NAME)
        assert running is not None
        running.send(signal.SIGTERM)
        eventually(lambda: table.running(NAME) is None)
        self.system.start_another_operator(
            NAME, health_port=self.port, settings={}, server=self.proxy.url
        )
        eventually(self.is_ready)
        again = table.running(NAME)
        assert again is not None
        self.pid = again.pid

    def has_cleaned_up(self) -> bool:
        """Return whether no bot of a test before waits for this operator."""
        answer = self.system.plane.client.get("/apis/trading.io/v1/tradingbots")
        assert answer is not None
        return all(
            bot["metadata"].get("finalizers") != [FINALIZER] for bot in answer.json()["items"]
        )

    def is_ready(self) -> bool:
        answer = http_answer(self.port, "/readyz")
        return answer is not None and answer.status == 200


@pytest.fixture(scope="module")
def operator_behind_proxy(system: System) -> Iterator[Behind]:
    """In place of the usual operator. To start both for each test takes half of the CPU time."""
    plane = system.plane
    port = Ports.free().operator_health
    system.stop_one(OPERATOR)
    try:
        with FaultyProxy(plane.server, plane.pki.ca).serving() as proxy:
            system.start_another_operator(NAME, health_port=port, settings={}, server=proxy.url)
            try:
                running = plane.table.running(NAME)
                assert running is not None
                yield Behind(proxy, system, port, running.pid)
            finally:
                plane.table.kill(NAME)
    finally:
        system.start_one(OPERATOR)


@pytest.fixture
def behind(operator_behind_proxy: Behind) -> Iterator[Behind]:
    """The operator with all its watches and nothing to do. Afterwards it is the same process."""
    one = operator_behind_proxy
    eventually(one.is_ready)
    eventually(lambda: one.proxy.watched() >= KINDS.keys())
    eventually(one.has_cleaned_up)
    yield one
    one.proxy.heal()
    assert one.same_process(), one.system.log_file(NAME).read_text()[-3000:]


def limit_in_config_map(person: Person) -> str:
    found = person.get("configmap", f"{BOT}-config") or {}
    return str(found.get("data", {}).get("bot.json", ""))


def edit(person: Person, limit: int) -> None:
    """Another size limit, that is to reach bot.json."""
    patch = f'{{"spec": {{"riskManagement": {{"maxPositionSize": "{limit}"}}}}}}'
    done = person.kubectl("patch", "tbot", BOT, "--type=merge", "-p", patch)
    assert done.returncode == 0, done.stderr


def reaches(person: Person, limit: int, *, seconds: float = PATIENCE) -> None:
    eventually(lambda: f'"{limit}"' in limit_in_config_map(person), seconds=seconds)


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_errors_in_answer_to_everything_are_waited_out(
    behind: Behind, person: Person, status: int
) -> None:
    behind.proxy.fail(status, times=6)
    person.applied(sample("secret.yaml"), sample_bot())
    person.await_phase(BOT, "Running")
    assert behind.proxy.failed_all()


def test_conflicts_in_answer_to_writes_are_tried_again(behind: Behind, person: Person) -> None:
    behind.proxy.fail(409, times=4, writes_only=True)
    person.applied(sample("secret.yaml"), sample_bot())
    person.await_phase(BOT, "Running")
    assert behind.proxy.failed_all()


def test_what_happened_before_a_watch_says_410_gone_is_not_missed(
    behind: Behind, person: Person
) -> None:
    person.running_bot()
    behind.proxy.silence_watches()
    edit(person, 4711)
    person.deleted("deployment", BOT)
    assert behind.proxy.tell_watches(line_of(GONE)) >= 5
    behind.proxy.end_watches()
    reaches(person, 4711)
    eventually(lambda: person.get("deployment", BOT))
    edit(person, 4712)
    reaches(person, 4712)


def hostile(kind: str, name: str, namespace: str) -> dict[str, bytes]:
    """Objects of which each would end a careless reader; all but the last two have a name."""
    meta = f'"name":"{name}","namespace":"{namespace}","uid":"u-{name}","resourceVersion":"1"'
    labels = '"labels":{"app.kubernetes.io/managed-by":"tradingbot-operator"}'
    head = f'{{"kind":"{kind}","metadata":{{{meta},{labels}}}'
    texts = {
        "deep": f'{head},"spec":{"[" * 5000}{"]" * 5000}}}',
        "huge": f'{head},"data":{{"bot.json":"{"x" * 5_000_000}"}}}}',
        "labels": f'{{"kind":"{kind}","metadata":{{{meta},"labels":[1]}}}}',
        "version": f'{{"kind":"{kind}","metadata":{{{meta},{labels},"resourceVersion":{{}}}}}}',
        "finalizers": f'{{"kind":"{kind}","metadata":{{{meta},{labels},"finalizers":"no"}}}}',
        "owners": f'{{"kind":"{kind}","metadata":{{{meta},{labels},"ownerReferences":[1]}}}}',
        "status": f'{head},"status":["Running"]}}',
        "twice": f'{{"metadata":[],"kind":"{kind}","metadata":{{{meta},{labels}}},"kind":5}}',
        "bytes": f'{head},"spec":{{"a":"INVALID"}}}}',
        "list": f'{{"kind":"{kind}","metadata":[{{"name":"x"}}]}}',
        "nothing": "{}",
    }
    return {key: text.encode().replace(b"INVALID", b"\xff\xc0") for key, text in texts.items()}


def test_hostile_objects_in_lists_and_watches_cost_nobody_else_anything(
    behind: Behind, person: Person
) -> None:
    person.running_bot()
    for plural, kind in KINDS.items():
        planted = hostile(kind, "hostile", person.namespace)
        behind.proxy.planted[plural] = [text for key, text in planted.items() if key != "huge"]
        for text in planted.values():
            for type_ in (b"ADDED", b"MODIFIED", b"DELETED"):
                line = b'{"type":"' + type_ + b'","object":' + text + b"}\n"
                assert behind.proxy.tell_watches(line, of=plural) >= 1
    edit(person, 4711)
    reaches(person, 4711)
    person.deleted("service", BOT)
    eventually(lambda: person.get("service", BOT))
    assert behind.is_ready()
    # A restart finds them in its first list.
    behind.restart()
    edit(person, 4712)
    reaches(person, 4712)
    assert person.metric("tradingbot_operator_unreadable_objects", port=behind.port)
    # The next list is without them.
    behind.proxy.planted.clear()
    behind.restart()


@pytest.mark.parametrize(
    "line",
    [b'{"type": "MODIFIED", "obj\n', b"\xff\xfe not JSON\n", b"[1, 2]\n", b'{"type": "NEW"}\n'],
    ids=["cut off", "no JSON", "no object", "of an unknown type"],
)
def test_a_line_in_a_watch_that_is_no_event_costs_nothing(
    behind: Behind, person: Person, line: bytes
) -> None:
    person.running_bot()
    assert behind.proxy.tell_watches(line) >= 5
    edit(person, 4711)
    reaches(person, 4711)
    person.deleted("deployment", BOT)
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
