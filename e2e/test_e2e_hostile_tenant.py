"""One tenant does everything at once that a tenant, an image and a client of a port can do to the
operator and to the webhooks; bots of other tenants are halted and admitted in time all the while.

A system of its own, with the settings of `config/operator` for polls and leader election.
"""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
import yaml
from hostile_tenant import FLOODING, OWN, Attacks, Background, HostileTenant
from person import Object, Person, condition, eventually, named_bot, sample
from simulated_bots import SimulatedBots
from tradingbot_dev.control_plane.apiclient import http_answer
from tradingbot_dev.product.system import OPERATOR, WEBHOOKS, System, temporary_system

CONFIG = Path(__file__).parent.parent / "config"
ROUNDS = 2
HALTED_WITHIN = 15.0
ADMITTED_WITHIN = 5.0
PAUSED_WITHIN = 60.0
PROBES = {OPERATOR: ("operator_health", 5.0, 6), WEBHOOKS: ("webhooks_health", 3.0, 3)}
"""Of each process the port, time-out and failure threshold of its liveness probe."""


@pytest.fixture(scope="module")
def system(bots: SimulatedBots) -> Iterator[System]:
    """A system of which nothing is shared, and nothing but the risk address is set for tests."""
    settings = {
        "TRADINGBOT_OPERATOR_RISK_URL": bots.risk_url,
        "TRADINGBOT_OPERATOR_LEADER_ELECTION": "true",
    }
    with temporary_system(audit=False, environment=settings) as running:
        yield running


@dataclass
class Kubelet(Background):
    """Probes the processes as the kubelet does, from 127.0.0.1, and counts what it would count."""

    system: System
    failures: dict[str, int] = field(default_factory=dict)
    """The longest run of failed probes of each process."""

    def __enter__(self) -> Self:
        for name in PROBES:
            self.start(self._probe, name)
        return self

    def _probe(self, name: str) -> None:
        port_name, allowed, _ = PROBES[name]
        port, failed = getattr(self.system.plane.ports, port_name), 0
        self.failures[name] = 0
        while not self.ended.wait(2):
            begun = time.monotonic()
            answer = http_answer(port, "/healthz")
            well = answer is not None and answer.status == 200
            failed = 0 if well and time.monotonic() - begun < allowed else failed + 1
            self.failures[name] = max(failed, self.failures[name])


@dataclass(frozen=True)
class Victim:
    """The bots of another tenant, each of which loses its limit once."""

    person: Person
    bots: SimulatedBots

    @classmethod
    def trading(cls, person: Person, bots: SimulatedBots) -> Self:
        person.kubectl("create", "namespace", person.namespace)
        names = [f"victim-{number}" for number in range(ROUNDS)]
        for name in names:
            bots.set(person.namespace, name, open_positions=1)
        person.applied(sample("secret.yaml"), *map(named_bot, names))
        person.await_phases(dict.fromkeys(names, "Running"))
        return cls(person, bots)

    def loses(self, name: str) -> float:
        """Report a loss over the limit; the seconds until the bot is halted and has no pod."""
        self.bots.set(self.person.namespace, name, day_pnl="-9999", open_positions=1)
        begun = time.monotonic()
        eventually(lambda: self._halted(name), seconds=HALTED_WITHIN)
        return time.monotonic() - begun

    def _halted(self, name: str) -> bool:
        bot = self._read(
            f"/apis/trading.io/v1/namespaces/{self.person.namespace}/tradingbots/{name}"
        )
        assert condition(bot, "RiskHalted")["status"] == "True", bot["status"]["phase"]
        label = f"labelSelector=trading.io%2Fbot%3D{name}"
        pods = self._read(f"/api/v1/namespaces/{self.person.namespace}/pods?{label}")["items"]
        assert pods == [], "halted, and its pod is still there"
        return True

    def _read(self, path: str) -> Object:
        answer = self.person.system.plane.client.get(path)
        assert answer is not None, "the API server does not answer"
        assert answer.status == 200, answer.body
        found: Object = answer.json()
        return found


@dataclass(frozen=True)
class Bystander:
    """A third tenant, who declares a bot now and then."""

    person: Person

    @classmethod
    def admitted(cls, person: Person) -> Self:
        person.kubectl("create", "namespace", person.namespace)
        person.applied(sample("secret.yaml"))
        return cls(person)

    def applies(self, name: str) -> float:
        """Create a bot; the seconds until the API server has admitted it."""
        begun = time.monotonic()
        self.person.applied(named_bot(name))
        return time.monotonic() - begun


def pids(system: System) -> dict[str, int]:
    found = {name: system.plane.table.running(name) for name in PROBES}
    return {name: identity.pid for name, identity in found.items() if identity is not None}


def peak_memory(pid: int) -> int:
    """MiB that a process and all others of its session have ever held at most."""
    listed = subprocess.run(
        ["ps", "--no-headers", "-o", "pid", "--sid", str(pid)],
        capture_output=True,
        text=True,
        check=True,
    )
    total = 0
    for member in listed.stdout.split():
        lines = Path(f"/proc/{member}/status").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return total // 1024


def memory_limit(name: str) -> int:
    """MiB, from the Deployment that is installed."""
    text = (CONFIG / ("webhook" if name == WEBHOOKS else name) / "deployment.yaml").read_text()
    deployment = next(one for one in yaml.safe_load_all(text) if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    limit: str = container["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    return int(limit.removesuffix("Mi"))


def assert_well(system: System, kubelet: Kubelet, before: dict[str, int]) -> None:
    """The processes are those from before, within their limits, and ready."""
    assert pids(system) == before, "a process was restarted"
    for name, (port, _, threshold) in PROBES.items():
        assert kubelet.failures[name] < threshold, f"the kubelet would have killed {name}"
        assert peak_memory(before[name]) < memory_limit(name), name
        answer = http_answer(getattr(system.plane.ports, port), "/readyz")
        assert answer is not None, name
        assert answer.status == 200, answer.body


def assert_all_can_be_paused(tenant: HostileTenant) -> None:
    """What the tenant has broken of its own does not keep its bots from being stopped."""
    person, names = tenant.person, [*FLOODING, *OWN]
    for name in names:
        person.patched("tbot", name, {"spec": {"paused": True}})

    def listed(kind: str, path: str) -> list[list[str]]:
        # Without managed fields: those of this tenant are nested too deeply for Python's parser.
        template = f'{{range .items[*]}}{{.metadata.name}} {{{path}}}{{"\\n"}}{{end}}'
        done = person.kubectl("get", kind, "-o", f"jsonpath={template}")
        assert done.returncode == 0, done.stderr
        return [line.split() for line in done.stdout.splitlines()]

    def stopped() -> bool:
        made = [row[0] for row in listed("pods", ".metadata.ownerReferences[*].kind") if row[1:]]
        assert made == [], f"left: {made}; bots: {listed('tbot', '.metadata.deletionTimestamp')}"
        phases = {row[0]: row[1] for row in listed("tbot", ".status.phase") if row[1:]}
        assert phases | dict.fromkeys(names, "Paused") == phases
        return True

    eventually(stopped, seconds=PAUSED_WITHIN)


def test_bots_are_halted_and_admitted_in_time_while_one_tenant_attacks_in_every_way(
    system: System, bots: SimulatedBots
) -> None:
    bystander = Bystander.admitted(Person(system, "bystander"))
    victim = Victim.trading(Person(system, "victims"), bots)
    tenant = HostileTenant.admitted(Person(system, "hostile"), bots)
    before, halted, admitted = pids(system), [], []
    with Kubelet(system) as kubelet, Attacks(tenant.attacks()) as attacks:
        eventually(attacks.all_landed)
        for number in range(ROUNDS):
            admitted.append(bystander.applies(f"bystander-{number}"))
            halted.append(victim.loses(f"victim-{number}"))
    print(f"halted after {halted} s, admitted after {admitted} s")
    print(f"landed: {dict(attacks.landed)}, errors: {attacks.failed}")
    print({name: peak_memory(pid) for name, pid in before.items()}, "MiB;", kubelet.failures)
    assert max(admitted) < ADMITTED_WITHIN
    assert_well(system, kubelet, before)
    assert_all_can_be_paused(tenant)
    bystander.person.await_phases({f"bystander-{n}": "Running" for n in range(ROUNDS)})


def test_a_deleted_bot_that_its_tenant_holds_back_and_scales_up_has_no_pod(
    system: System, bots: SimulatedBots
) -> None:
    person, name = Person(system, "holder"), "held-back"
    person.kubectl("create", "namespace", person.namespace)
    bots.set(person.namespace, name)
    person.applied(sample("secret.yaml"), named_bot(name))
    person.await_phase(name, "Running")
    finalizers = ["trading.io/cleanup", "example.com/hold"]
    person.patched("tbot", name, {"metadata": {"finalizers": finalizers}})
    person.kubectl("delete", "tbot", name, "--wait=false")

    def is_let_go() -> bool:
        bot = person.get("tbot", name)
        assert bot is not None
        return bool(bot["metadata"]["finalizers"] == ["example.com/hold"])

    eventually(is_let_go)
    done = person.kubectl("scale", "deployment", name, "--replicas=1")
    assert done.returncode == 0, done.stderr

    def is_stopped() -> bool:
        deployment = person.get("deployment", name)
        assert deployment is None or deployment["spec"]["replicas"] == 0
        return not person.items("pod", bot=name)

    eventually(is_stopped)
    person.patched("tbot", name, {"metadata": {"finalizers": None}})
