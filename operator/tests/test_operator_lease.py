"""The decisions about a Lease: no two operators act at the same time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.leadership.lease import (
    LONGEST,
    LeaseAction,
    LeaseObservation,
    Timing,
    claimed,
    decide,
    free_at,
    holder,
    is_ours,
    observe_lease,
    released,
    vacant,
)

NAME = NamespacedName("tradingbot-system", "tradingbot-operator")
NOW = datetime(2026, 3, 4, 12, 0, 0, 125, tzinfo=UTC)
TEN = Timing(10)


def lease(*, version: str = "1", **record: Any) -> JsonObject:
    meta = {"namespace": NAME[0], "name": NAME[1], "resourceVersion": version}
    return {"kind": "Lease", "metadata": meta, "spec": record}


def held(by: str = "other", **record: Any) -> JsonObject:
    return lease(**{"holderIdentity": by, "leaseDurationSeconds": 10, **record})


def claim(before: JsonObject | None, identity: str = "me") -> JsonObject:
    return claimed(before, name=NAME, identity=identity, timing=TEN, now=NOW)


@given(st.integers(3, LONGEST))
def test_what_a_holder_has_begun_is_over_before_another_may_hold_the_lease(seconds: int) -> None:
    timing = Timing(seconds)
    assert timing.renew_deadline < timing.watchdog
    assert timing.watchdog + timing.write < seconds
    assert timing.end < seconds
    assert timing.poll + seconds < 1.5 * seconds, "another takes over 1.5 durations after a crash"


def test_a_lease_of_ten_seconds_is_renewed_every_two_and_given_up_on_after_six() -> None:
    assert (TEN.retry, TEN.renew_deadline, TEN.poll) == (2, 6, 1)


def test_a_lease_of_another_is_waited_for_until_it_has_not_changed_for_its_duration() -> None:
    seen = LeaseObservation(held(), since=100)
    assert decide(seen, "me", 109.9, TEN) is LeaseAction.WAIT
    assert decide(seen, "me", 110, TEN) is LeaseAction.ACQUIRE


def test_the_clock_of_the_holder_counts_for_nothing() -> None:
    ancient = held(renewTime="1999-01-01T00:00:00.000000Z")
    assert decide(LeaseObservation(ancient, since=100), "me", 101, TEN) is LeaseAction.WAIT


def test_each_renewal_that_is_seen_begins_the_wait_anew() -> None:
    first = observe_lease(None, held(renewTime="a"), 100)
    second = observe_lease(first, held(renewTime="b"), 109)
    assert decide(second, "me", 115, TEN) is LeaseAction.WAIT


def test_a_change_of_labels_does_not_begin_the_wait_anew_but_its_version_is_kept() -> None:
    first = observe_lease(None, held(), 100)
    touched = held()
    touched["metadata"] |= {"labels": {"a": "b"}, "resourceVersion": "2"}
    second = observe_lease(first, touched, 109)
    assert decide(second, "me", 110, TEN) is LeaseAction.ACQUIRE
    assert claim(second.lease)["metadata"]["resourceVersion"] == "2"
    assert claim(second.lease)["metadata"]["labels"] == {"a": "b"}


def test_the_duration_that_the_holder_has_written_is_respected() -> None:
    seen = LeaseObservation(held(leaseDurationSeconds=60), since=0)
    assert decide(seen, "me", 59, TEN) is LeaseAction.WAIT
    assert free_at(LeaseObservation(held(leaseDurationSeconds=1), since=0), TEN) == 10


def test_a_lease_that_was_given_up_is_taken_at_once() -> None:
    given_up = released(held(), now=NOW)
    assert decide(LeaseObservation(given_up, since=100), "me", 100, TEN) is LeaseAction.ACQUIRE


@pytest.mark.parametrize(
    "found",
    [
        vacant(NAME, TEN),
        lease(),
        {**lease(), "spec": None},
        held(by=""),
        lease(holderIdentity=None, leaseDurationSeconds=10),
        held(leaseDurationSeconds=None),
        held(leaseDurationSeconds=2**31 - 1),
        held(leaseDurationSeconds="x"),
    ],
    ids=["vacant", "empty", "null", "nobody", "null holder", "no duration", "ages", "no number"],
)
def test_a_lease_that_says_nothing_sensible_may_have_a_holder_and_is_free_after_a_full_wait(
    found: JsonObject,
) -> None:
    assert decide(LeaseObservation(found, since=0), "me", 9.9, TEN) is LeaseAction.WAIT
    assert decide(LeaseObservation(found, since=0), "me", 10, TEN) is LeaseAction.ACQUIRE


def test_a_lease_that_is_not_there_is_made_and_then_waited_for() -> None:
    assert decide(LeaseObservation(None, since=0), "me", 100, TEN) is LeaseAction.CREATE


def test_a_lease_that_was_held_and_emptied_between_two_looks_begins_the_wait_anew() -> None:
    first = observe_lease(None, lease(version="1"), 0)
    again = observe_lease(first, lease(version="3"), 9)
    assert decide(again, "me", 10, TEN) is LeaseAction.WAIT


def test_our_own_lease_is_renewed() -> None:
    assert decide(LeaseObservation(held(by="me"), since=0), "me", 0, TEN) is LeaseAction.RENEW


@pytest.mark.parametrize("found", [None, lease(), held(by="me"), held(by="")])
def test_a_leader_goes_on_when_its_lease_was_edited_or_deleted(found: JsonObject | None) -> None:
    assert is_ours(found, "me")


@pytest.mark.parametrize("found", [held(), released(held("me"), now=NOW)])
def test_a_leader_does_not_go_on_when_its_lease_is_anothers_or_free_for_all(
    found: JsonObject,
) -> None:
    assert not is_ours(found, "me")


def test_taking_a_lease_over_counts_a_transition_and_renewing_it_does_not() -> None:
    taken = claim(held(leaseTransitions=4, acquireTime="then"))
    assert taken["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 10,
        "acquireTime": "2026-03-04T12:00:00.000125Z",
        "renewTime": "2026-03-04T12:00:00.000125Z",
        "leaseTransitions": 5,
    }
    renewed = claim({**taken, "spec": {**taken["spec"], "acquireTime": "then"}})
    assert renewed["spec"]["leaseTransitions"] == 5
    assert renewed["spec"]["acquireTime"] == "then"


def test_a_new_lease_begins_at_no_transition() -> None:
    made = claim(None)
    assert made["metadata"] == {"namespace": NAME[0], "name": NAME[1]}
    assert made["spec"]["leaseTransitions"] == 0


@pytest.mark.parametrize(("before", "after"), [(None, 1), ("x", 1), (2**31 - 1, 2**31 - 1)])
def test_a_senseless_count_of_transitions_does_not_make_the_lease_invalid(
    before: Any, after: int
) -> None:
    assert claim(held(leaseTransitions=before))["spec"]["leaseTransitions"] == after


def test_giving_up_keeps_the_count_and_names_nobody() -> None:
    given_up = released(held(by="me", leaseTransitions=4), now=NOW)
    assert holder(given_up) == ""
    assert "holderIdentity" not in given_up["spec"]
    assert given_up["spec"]["leaseTransitions"] == 4


# Two contenders, each with a clock of its own, and a network that delays what it likes.

RATES = st.floats(0.98, 1.02)
DELAYS = st.one_of(st.just(0.0), st.just(0.0), st.floats(0, 0.5), st.floats(0, 12))


@dataclass
class Contender:
    """An operator that reads, decides and claims in turn, and may stand still in between."""

    identity: str
    offset: float
    rate: float
    observation: LeaseObservation | None = None
    renewed: float | None = None
    reigns: list[tuple[float, float]] = field(default_factory=list)
    """The true times from which to which it may write."""

    def clock(self, at: float) -> float:
        return self.offset + self.rate * at

    def acts_until(self) -> float:
        """Return the true time until which a write of it may be under way."""
        assert self.renewed is not None
        local = self.renewed + TEN.watchdog + TEN.write
        return (local - self.offset) / self.rate


@dataclass
class World:
    """The one Lease of the API server, and the true time."""

    now: float = 0.0
    lease: JsonObject | None = None
    version: int = 0

    def put(self, manifest: JsonObject) -> bool:
        """Replace or create the Lease, if it still has the version that the writer knows."""
        known = manifest["metadata"].get("resourceVersion")
        current = None if self.lease is None else self.lease["metadata"]["resourceVersion"]
        if known != current:
            return False
        self.version += 1
        meta = {"uid": str(self.version), **manifest["metadata"]}
        meta["resourceVersion"] = str(self.version)
        self.lease = {**manifest, "metadata": meta}
        return True

    def turn(
        self,
        contender: Contender,
        delays: tuple[float, float, float, float] = (0, 0, 0, 0),
        *,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """A look and a claim, with delays before the read, after it, and around the write.

        `meanwhile` happens between the write and its answer.
        """
        self.now += delays[0]
        read = self.lease
        self.now += delays[1]
        local = contender.clock(self.now)
        contender.observation = observe_lease(contender.observation, read, local)
        step = decide(contender.observation, contender.identity, local, TEN)
        if step is LeaseAction.CREATE:
            self.now += delays[2]
            self.put(vacant(NAME, TEN))
        if step in {LeaseAction.CREATE, LeaseAction.WAIT}:
            return
        begun = local
        mine = claimed(
            contender.observation.lease,
            name=NAME,
            identity=contender.identity,
            timing=TEN,
            now=datetime.now(UTC),
        )
        mine["spec"]["renewTime"] = f"{contender.identity} {begun}"
        self.now += delays[2]
        done = self.put(mine)
        committed = self.now
        meanwhile()
        self.now += delays[3]
        if done and contender.clock(self.now) - begun <= TEN.renew_deadline:
            contender.renewed = begun
            contender.reigns.append((committed, contender.acts_until()))


@dataclass
class Happening:
    """The next step: an operator's turn with its delays, or an edit of the Lease by hand."""

    who: int
    delays: tuple[float, float, float, float]
    pause: float
    by_hand: str
    meanwhile: bool


HAPPENINGS = st.builds(
    Happening,
    who=st.integers(0, 1),
    delays=st.tuples(DELAYS, DELAYS, DELAYS, DELAYS),
    pause=st.one_of(st.floats(0, 2), st.floats(5, 11)),
    by_hand=st.sampled_from([""] * 12 + ["label", "delete", "empty"]),
    meanwhile=st.booleans(),
)


def meddle(world: World, how: str) -> None:
    if world.lease is None or not how:
        return
    if how == "delete":
        world.lease = None
    else:
        world.version += 1
        changed = {**world.lease, "metadata": {**world.lease["metadata"]}}
        changed["metadata"]["resourceVersion"] = str(world.version)
        if how == "empty":
            changed["spec"] = {}
        world.lease = changed


@settings(max_examples=400, deadline=None)
@given(
    st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
    st.tuples(RATES, RATES),
    st.lists(HAPPENINGS, min_size=2, max_size=40),
)
def test_two_with_skewed_clocks_and_late_news_never_act_at_the_same_time(
    offsets: tuple[float, float], rates: tuple[float, float], happenings: list[Happening]
) -> None:
    world = World()
    both = [Contender(name, offsets[i], rates[i]) for i, name in enumerate(("a", "b"))]
    first, second = both
    for who, pause in ((first, 0), (first, 0), (first, 11), (second, 0)):
        world.now += pause
        world.turn(who)
    assert first.reigns
    for happening in happenings:
        world.now += happening.pause
        meddle(world, happening.by_hand)
        other = both[1 - happening.who]
        meanwhile = partial(world.turn, other) if happening.meanwhile else lambda: None
        world.turn(both[happening.who], happening.delays, meanwhile=meanwhile)
    for begin, end in first.reigns:
        for other_begin, other_end in second.reigns:
            assert end <= other_begin or other_end <= begin
