"""Two operators on one API server: one acts, and the other takes over, but never beside it.

Who wrote what, and when, is read in the API server's audit log: each operator has its own token.
"""

import base64
import json
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from person import Person, eventually, named_bot
from tradingbot_dev.control_plane.apiclient import http_answer
from tradingbot_dev.control_plane.ports import Ports
from tradingbot_dev.product.system import OPERATOR, System

BOT = "arb-bot-binance"
NAMESPACE = "tradingbot-system"
READS = {"get", "list", "watch"}
CREDENTIAL = "authentication.kubernetes.io/credential-id"
LEASE = 10
"""Seconds, as in an installation."""
TAKEOVER = 15.0
"""Seconds within which the other operator acts: the lease, and some for its first write."""
LONG_LEASE = 60
STORM = 12
"""Bots in a storm of work."""
HANDED_OVER_WITHIN = 40.0
"""A standby reads a lease of 60 seconds every 6 seconds. One that was not released would run out 48
seconds after the end of its holder, or later."""

# As one that was released: the first of the two need not wait for it to run out.
FREE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "tradingbot-operator", "namespace": NAMESPACE},
    "spec": {"leaseDurationSeconds": 1},
}


@dataclass
class Candidate:
    """One process of an operator that stands for election."""

    system: System
    name: str
    port: int
    lease_seconds: int = LEASE
    tokens: list[str] = field(default_factory=list)
    """Those of its processes, the newest last."""

    def start(self) -> None:
        settings = {
            "TRADINGBOT_OPERATOR_LEADER_ELECTION": "true",
            "TRADINGBOT_OPERATOR_LEASE_DURATION": str(self.lease_seconds),
        }
        kubeconfig = self.system.start_another_operator(
            self.name, health_port=self.port, settings=settings
        )
        self.tokens.append(credential(kubeconfig))
        eventually(lambda: self.answers("/readyz"))

    def send(self, number: signal.Signals) -> None:
        identity = self.system.plane.table.running(self.name)
        assert identity is not None, f"{self.name} does not run"
        identity.send(number)

    def kill(self) -> None:
        self.system.plane.table.kill(self.name)

    def await_end(self) -> None:
        eventually(lambda: self.system.plane.table.running(self.name) is None)

    @property
    def log(self) -> str:
        return self.system.log_file(self.name).read_text()

    def answers(self, path: str) -> bool:
        answer = http_answer(self.port, path)
        return answer is not None and answer.status == 200

    def leads(self) -> bool:
        answer = http_answer(self.port, "/metrics")
        return answer is not None and b"\ntradingbot_operator_leader 1.0\n" in answer.body


@dataclass(frozen=True)
class Pair:
    """Two candidates, when the test began, as the audit log writes times, and how long that was."""

    system: System
    both: tuple[Candidate, Candidate]
    began: str
    logged: int

    def leader(self) -> Candidate:
        """The one that acts, once there is one."""
        return eventually(lambda: next((one for one in self.both if one.leads()), None))  # type: ignore[return-value]

    @property
    def tokens(self) -> list[str]:
        return [token for one in self.both for token in one.tokens]

    def other(self, one: Candidate) -> Candidate:
        return next(candidate for candidate in self.both if candidate is not one)


def credential(kubeconfig: Path) -> str:
    """What the audit log calls the token of a kubeconfig."""
    loaded = yaml.safe_load(kubeconfig.read_text())
    claims = loaded["users"][0]["user"]["token"].split(".")[1]
    padded = claims + "=" * (-len(claims) % 4)
    return f"JTI={json.loads(base64.urlsafe_b64decode(padded))['jti']}"


def writes(pair: Pair) -> list[tuple[str, str, str]]:
    """Token, when it came and when it was done: every write but of leases that had an effect.

    Of the processes that an earlier test has left, only the writes since this test began.
    """
    found = []
    for token in pair.tokens:
        for event in pair.system.plane.audit_events(containing=token, begin=pair.logged):
            # The request that issued the token has it too.
            is_its = event["user"].get("extra", {}).get(CREDENTIAL) == [token]
            kind = event.get("objectRef", {}).get("resource")
            done = event.get("responseStatus", {}).get("code", 0) < 300
            done &= event["requestReceivedTimestamp"] >= pair.began
            if is_its and event["verb"] not in READS and kind != "leases" and done:
                found.append((token, event["requestReceivedTimestamp"], event["stageTimestamp"]))
    return sorted(found, key=lambda one: one[1])


def assert_one_after_the_other(pair: Pair) -> None:
    """Assert that each operator writes in one unbroken period, and that no two overlap."""
    found = writes(pair)
    reigns = [one for before, one in pairwise([("", "", ""), *found]) if before[0] != one[0]]
    assert len({token for token, _, _ in reigns}) == len(reigns), reigns
    for (before, _, done), (after, came, _) in pairwise(found):
        assert before == after or done <= came


@pytest.fixture
def lease_seconds() -> int:
    return LEASE


@pytest.fixture(scope="module")
def without_operator(system: System) -> Iterator[System]:
    """Stop the usual operator until all tests here have run."""
    system.stop_one(OPERATOR)
    yield system
    system.start_one(OPERATOR)


@pytest.fixture(scope="module")
def candidates(without_operator: System) -> Iterator[tuple[Candidate, Candidate]]:
    """Two operators that can stand for election, in place of the usual one."""
    system, ports = without_operator, Ports.free()
    both = (
        Candidate(system, "operator-a", ports.operator_health),
        Candidate(system, "operator-b", ports.kwok),
    )
    try:
        yield both
    finally:
        withdraw(both)


def withdraw(both: tuple[Candidate, Candidate]) -> None:
    """Kill both, and delete their lease."""
    for one in both:
        one.kill()
    both[0].system.plane.kubectl("-n", NAMESPACE, "delete", "lease", "--all")


@pytest.fixture
def pair(candidates: tuple[Candidate, Candidate], lease_seconds: int) -> Pair:
    """Two operators that stand for election.

    Those that the test before has left go on; one that has ended or stands still is replaced.
    """
    system, running = candidates[0].system, [one for one in candidates if one.answers("/readyz")]
    if not running or any(one.lease_seconds != lease_seconds for one in candidates):
        withdraw(candidates)
        running = []
        system.plane.kubectl("create", "-f", "-", stdin=json.dumps(FREE), check=True)
    logged = system.plane.audit_length()
    began = datetime.now(UTC).isoformat(timespec="microseconds")
    for one in candidates:
        if one not in running:
            one.kill()
            one.lease_seconds = lease_seconds
            one.start()
    return Pair(system, candidates, began.replace("+00:00", "Z"), logged)


def mended(person: Person, *, within: float) -> None:
    """Delete the bot's Deployment, which an operator has to make again within these seconds."""
    person.kubectl("delete", "deployment", BOT, "--wait=false")
    eventually(lambda: person.get("deployment", BOT), seconds=within)


def lease(system: System) -> dict[str, Any]:
    """The lease's spec; nothing if there is no lease."""
    done = system.plane.kubectl("-n", NAMESPACE, "get", "lease", "-o", "json", check=True)
    found = json.loads(done.stdout)["items"]
    return dict(found[0]["spec"]) if found else {}


def test_one_acts_the_other_is_ready_and_takes_over_from_one_that_was_killed(
    pair: Pair, person: Person
) -> None:
    leader = pair.leader()
    other = pair.other(leader)
    person.running_bot()
    assert other.answers("/readyz")
    assert not other.leads()
    assert {token for token, _, _ in writes(pair)} == {leader.tokens[-1]}
    leader.kill()
    mended(person, within=TAKEOVER)
    assert other.leads()
    assert lease(pair.system)["leaseTransitions"] >= 1
    assert_one_after_the_other(pair)


def test_one_that_stood_still_past_its_lease_writes_nothing_when_it_wakes(
    pair: Pair, person: Person
) -> None:
    leader = pair.leader()
    other = pair.other(leader)
    person.running_bot()
    leader.send(signal.SIGSTOP)
    mended(person, within=TAKEOVER)
    person.deleted("configmap", f"{BOT}-config")
    leader.send(signal.SIGCONT)
    leader.await_end()
    person.await_phase(BOT, "Running")
    assert_one_after_the_other(pair)
    leader.start()
    assert not leader.leads()
    assert other.leads()


def test_one_whose_lease_was_taken_says_so_and_ends(pair: Pair, person: Person) -> None:
    leader = pair.leader()
    other = pair.other(leader)
    taken = {"spec": {"holderIdentity": "somebody-else"}}
    pair.system.plane.kubectl(
        *("-n", NAMESPACE, "patch", "lease", "tradingbot-operator"),
        *("--type=merge", "-p", json.dumps(taken)),
        check=True,
    )
    leader.await_end()
    assert "tradingbot: error: the lease tradingbot-system/tradingbot-operator" in leader.log
    assert "is held by somebody-else; ending, to stand by" in leader.log
    assert "Traceback" not in leader.log
    eventually(other.leads, seconds=TAKEOVER)


def test_a_lease_that_is_deleted_by_hand_makes_no_second_leader(pair: Pair, person: Person) -> None:
    leader = pair.leader()
    other = pair.other(leader)
    pair.system.plane.kubectl("-n", NAMESPACE, "delete", "lease", "--all", check=True)
    eventually(lambda: lease(pair.system).get("holderIdentity"))
    for _ in range(24):
        assert leader.leads()
        assert not other.leads()
        time.sleep(0.5)


@pytest.mark.parametrize("seed", range(2))
def test_in_a_storm_of_work_one_stopped_at_any_moment_writes_nothing_when_it_wakes(
    pair: Pair, person: Person, seed: int
) -> None:
    moment = random.Random(seed).uniform(0.05, 0.4)
    leader = pair.leader()
    other = pair.other(leader)
    person.running_bot()
    # Paused: the operator writes all their children, and no pod takes part in the storm.
    person.applied(*(named_bot(f"storm-{number}", paused=True) for number in range(STORM)))
    person.kubectl("delete", "deployment,configmap,service", "--all", "--wait=false")
    time.sleep(moment)
    leader.send(signal.SIGSTOP)
    eventually(other.leads, seconds=TAKEOVER)
    person.kubectl("delete", "deployment,configmap,service", "--all", "--wait=false")
    leader.send(signal.SIGCONT)
    leader.await_end()
    leader.start()  # as the kubelet does
    person.await_phase(f"storm-{STORM - 1}", "Paused")
    assert_one_after_the_other(pair)
    assert len(writes(pair)) >= 2 * 3 * STORM, "three children of each bot, made and made again"


@pytest.mark.parametrize("lease_seconds", [LONG_LEASE])
def test_one_that_is_told_to_stop_hands_over_at_once(pair: Pair, person: Person) -> None:
    leader = pair.leader()
    other = pair.other(leader)
    person.running_bot()
    leader.send(signal.SIGTERM)
    mended(person, within=HANDED_OVER_WITHIN)
    assert other.leads()
    leader.await_end()
    assert '"Released the lease"' in leader.log
    assert_one_after_the_other(pair)
