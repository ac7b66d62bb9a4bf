"""Several processes at once, each held up or killed before any of its deeds: nothing is ever lost.

What holds at every moment, after every single deed of anybody: each certificate that a webhook
server shows, one that has not reloaded included, is trusted by each API server, one that has not
followed included. And in the end an authority is alone again, and everybody has its certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from datetime import timedelta
from functools import cache

import pytest
from certs_in_memory import days
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from model_cluster import (
    API_SERVER_LATE,
    CA_LIFETIME,
    CLOCK_OFF,
    KUBELET_LATE,
    SETTLE,
    Cluster,
    Process,
    rotation_in,
)
from tradingbot_certs import plan, state
from tradingbot_certs.authority import issued_by
from tradingbot_certs.errors import CertsError
from tradingbot_certs.state import Phase, certificates

SECOND = timedelta(seconds=1)
DUE = CA_LIFETIME * 2 / 3


@pytest.fixture(autouse=True, scope="module")
def signatures_verified_once() -> Iterator[None]:
    """Verify the signature of each pair of certificates once: the pairs come back, 40,000 times."""
    once = cache(issued_by)
    with pytest.MonkeyPatch.context() as patch:
        for module in (plan, state):
            patch.setattr(module, "issued_by", once)
        yield


WAYS: dict[str, Callable[[Cluster], None]] = {}
"""To the moments from which something is to be done."""


def way(lead: Callable[[Cluster], None]) -> Callable[[Cluster], None]:
    WAYS[lead.__name__] = lead
    return lead


def check(cluster: Cluster) -> None:
    """One check of one process, from its beginning to its end: it needs no thread."""
    with suppress(CertsError):  # a check that fails is repeated later
        rotation_in(cluster, cluster.demand_trust).check()
    cluster.demand_trust()


def running() -> Cluster:
    """With two webhook servers, which everybody trusts."""
    cluster = Cluster()
    check(cluster)
    for name in ("one", "two"):
        cluster.start_replica(name, late=timedelta(0))
    cluster.follow()
    cluster.demand_trust()
    return cluster


def passed(cluster: Cluster, time: timedelta) -> None:
    cluster.pass_time(time)
    cluster.demand_trust()


@way
def nothing(_cluster: Cluster) -> None:
    pass


@way
def a_renewal(cluster: Cluster) -> None:
    passed(cluster, days(20))


@way
def a_successor(cluster: Cluster) -> None:
    passed(cluster, days(20))
    check(cluster)
    cluster.follow()
    passed(cluster, DUE - days(20))


@way
def a_promotion(cluster: Cluster) -> None:
    a_successor(cluster)
    check(cluster)
    assert cluster.read().phase == Phase.SETTLING
    passed(cluster, SETTLE)


@way
def an_observation(cluster: Cluster) -> None:
    a_promotion(cluster)
    check(cluster)
    assert cluster.read().phase == Phase.REPLACING
    cluster.follow()


@way
def an_end(cluster: Cluster) -> None:
    an_observation(cluster)
    check(cluster)
    passed(cluster, SETTLE)


@way
def a_loss(cluster: Cluster) -> None:
    cluster.authorities = None


def converge(cluster: Cluster) -> None:
    """One process that is left alone, and everybody who follows, late: it comes to its end."""
    for _ in range(12):
        check(cluster)
        if not cluster.replicas:
            cluster.start_replica("last", late=timedelta(0))
        for name, replica in cluster.replicas.items():
            cluster.reload(name)
            replica.listed = True
            cluster.demand_trust()
        if cluster.read().phase == Phase.NONE:
            break
        passed(cluster, SETTLE)
    passed(cluster, SETTLE)
    check(cluster)
    authorities = cluster.read()
    assert authorities.phase == Phase.NONE
    bundles = {history.now for history in cluster.bundles.values()}
    assert bundles == {authorities.ca_crt}
    assert len(certificates(authorities.ca_crt)) == 1
    for name in cluster.replicas:
        assert cluster.shown_by(name) == cluster.stored_certificate()
    cluster.demand_trust()


@cache
def led(lead: Callable[[Cluster], None]) -> Cluster:
    """A cluster that `lead` has led somewhere. Tests continue with copies: it is never changed."""
    cluster = running()
    lead(cluster)
    return cluster


def after(deeds: int, lead: Callable[[Cluster], None]) -> tuple[Cluster, Process]:
    """A cluster that `lead` has led somewhere, and a process that has done so much in it."""
    cluster = deepcopy(led(lead))
    process = Process(cluster)
    for _ in range(deeds):
        if not process.ended:
            process.step()
            cluster.demand_trust()
    return cluster, process


@pytest.mark.parametrize("lead", WAYS.values(), ids=list(WAYS))
def test_a_process_killed_before_any_deed_is_followed_by_another(
    lead: Callable[[Cluster], None],
) -> None:
    deeds, killed = 0, True
    while killed:
        cluster, process = after(deeds, lead)
        killed = not process.ended
        if killed:
            process.kill()
        converge(cluster)
        deeds += 1
    assert deeds > 6


@pytest.mark.parametrize("followers", [("one", "two"), ("one",)], ids=["all", "one"])
@pytest.mark.parametrize("meanwhile", ["due", "lost"])
@pytest.mark.parametrize("lead", WAYS.values(), ids=list(WAYS))
def test_a_process_held_up_before_any_deed_undoes_nothing_when_it_goes_on(
    lead: Callable[[Cluster], None], meanwhile: str, followers: tuple[str, ...]
) -> None:
    """Held up for as long as another one needs for a whole replacement, all following, or one."""
    deeds, held = 0, True
    while held:
        cluster, process = after(deeds, lead)
        held = not process.ended
        if meanwhile == "due":
            passed(cluster, DUE)
        else:
            a_loss(cluster)
        for _ in range(4):
            check(cluster)
            for name in followers:
                cluster.reload(name)
                cluster.demand_trust()
            passed(cluster, SETTLE)
        while not process.ended:
            process.step()
            cluster.demand_trust()
        converge(cluster)
        deeds += 1
    assert deeds > 6


def test_two_processes_in_lockstep_come_to_one_end() -> None:
    cluster = running()
    a_loss(cluster)
    for _ in range(8):
        processes = [Process(cluster), Process(cluster)]
        while any(not process.ended for process in processes):
            for process in processes:
                if not process.ended:
                    process.step()
                    cluster.demand_trust()
        cluster.follow()
        passed(cluster, SETTLE)
    converge(cluster)


class Interleaving(RuleBasedStateMachine):
    """Up to three processes, and everybody else, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.processes: dict[int, Process] = {}
        self.started = 0

    @initialize(lead=st.sampled_from([None, *WAYS.values()]))
    def begin(self, lead: Callable[[Cluster], None] | None) -> None:
        self.cluster = running()
        if lead is not None:
            lead(self.cluster)

    @invariant()
    def trusted(self) -> None:
        self.cluster.demand_trust()

    # ---- the processes

    def slots(self, *, busy: bool) -> list[int]:
        return [slot for slot in range(3) if (slot in self.processes) == busy]

    @precondition(lambda self: self.slots(busy=False))
    @rule(data=st.data(), off=st.sampled_from([-CLOCK_OFF, timedelta(0), CLOCK_OFF]))
    def begin_check(self, data: st.DataObject, off: timedelta) -> None:
        slot = data.draw(st.sampled_from(self.slots(busy=False)))
        self.processes[slot] = Process(self.cluster, clock_off=off)

    @precondition(lambda self: self.slots(busy=True))
    @rule(data=st.data(), deeds=st.integers(1, 30))
    def go_on(self, data: st.DataObject, deeds: int) -> None:
        slot = data.draw(st.sampled_from(self.slots(busy=True)))
        for _ in range(deeds):
            if not self.processes[slot].ended:
                self.processes[slot].step()
                self.cluster.demand_trust()
        if self.processes[slot].ended:
            del self.processes[slot]

    @precondition(lambda self: self.slots(busy=True))
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        self.processes.pop(data.draw(st.sampled_from(self.slots(busy=True)))).kill()

    # ---- the others

    @rule(time=st.sampled_from([SECOND * 30, API_SERVER_LATE, KUBELET_LATE, SETTLE + SECOND]))
    def pass_time(self, time: timedelta) -> None:
        self.cluster.pass_time(time)

    @rule(time=st.sampled_from([days(5), days(12)]))
    def pass_days(self, time: timedelta) -> None:
        self.cluster.pass_time(time)

    @rule(late=st.sampled_from([timedelta(0), KUBELET_LATE / 2, KUBELET_LATE]))
    def replica_is_made(self, late: timedelta) -> None:
        self.started += 1
        self.cluster.start_replica(f"new-{self.started}", late=late)

    @precondition(lambda self: self.cluster.replicas)
    @rule(data=st.data(), deed=st.sampled_from(["listed", "reloads", "gone"]))
    def replica(self, data: st.DataObject, deed: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.cluster.replicas)))
        match deed:
            case "listed":
                self.cluster.replicas[name].listed = True
            case "reloads":
                self.cluster.reload(name)
            case _:
                del self.cluster.replicas[name]

    @precondition(lambda self: self.cluster.secret.now is not None)
    @rule()
    def authorities_are_deleted(self) -> None:
        self.cluster.authorities = None

    @precondition(lambda self: self.cluster.authorities is not None)
    @rule()
    def secret_is_deleted(self) -> None:
        self.cluster.secret.add(self.cluster.now, None)

    def teardown(self) -> None:
        try:
            for process in self.processes.values():
                while not process.ended:
                    process.step()
                    self.cluster.demand_trust()
            converge(self.cluster)
        finally:
            for process in self.processes.values():
                if not process.ended:
                    process.kill()


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
