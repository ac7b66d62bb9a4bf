"""The leader election in fake time: after any fault there is one leader or none."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lease_cluster import TEN, Leases, contender
from operator_harness import in_fake_time
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.leadership.election import (
    LeaderElection,
    LeaseLostError,
    NoElection,
    NotLeaderError,
    own_identity,
    own_namespace,
)

AWAY = KubernetesError(0, "Unreachable", "no route")
SERVER_ERROR = KubernetesError(500, "InternalError", "etcd is away")
FORBIDDEN = KubernetesError(403, "Forbidden", "leases are forbidden")


def now() -> float:
    return asyncio.get_running_loop().time()


def may_write(election: LeaderElection) -> bool:
    try:
        election.guard()
    except NotLeaderError:
        return False
    return True


async def elected(cluster: Leases, name: str = "a", **options: Any) -> LeaderElection:
    """Return an election that has acquired the lease."""
    election = contender(cluster, name, **options)
    await election.acquire()
    return election


async def for_a_while(seconds: float, *coroutines: Coroutine[Any, Any, None]) -> None:
    """Run the coroutines for so long, or until one fails."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)


async def lost(election: LeaderElection) -> str:
    """Renew until the lease is lost. Return the message of the error."""
    with pytest.raises(LeaseLostError) as caught:
        await election.renew_until_lost()
    return str(caught.value)


def test_the_first_makes_the_lease_and_leads_after_a_full_wait() -> None:
    async def main() -> None:
        cluster = Leases()
        election = await elected(cluster)
        assert cluster.holder == "a"
        assert 10 <= now() <= 11.1
        election.guard()

    in_fake_time(main())


def test_nobody_may_write_before_leading() -> None:
    async def main() -> None:
        cluster = Leases()
        election = contender(cluster, "a")
        assert not may_write(election)
        waiting = asyncio.create_task(election.acquire())
        await asyncio.sleep(5)
        assert not may_write(election)
        await waiting
        assert may_write(election)

    in_fake_time(main())


def test_a_leader_renews_every_two_seconds_and_the_other_waits() -> None:
    async def main() -> None:
        cluster = Leases()
        election = await elected(cluster)
        cluster.requests.clear()
        other = contender(cluster, "b", skew=1e6)
        await for_a_while(100, election.renew_until_lost(), other.acquire())
        assert may_write(election)
        assert not may_write(other)
        assert sum(verb == "replace" for _, verb in cluster.requests) in range(48, 52)
        assert cluster.lease is not None
        assert cluster.lease["spec"]["leaseTransitions"] == 1

    in_fake_time(main())


def test_the_other_takes_over_eleven_seconds_after_a_crash() -> None:
    async def main() -> None:
        cluster = Leases()
        election = await elected(cluster)
        other = contender(cluster, "b", skew=-1e6)
        waiting = asyncio.create_task(other.acquire())
        await for_a_while(33, election.renew_until_lost())
        crashed = now()
        await waiting
        assert cluster.holder == "b"
        assert now() - crashed <= 11.1
        assert not may_write(election)

    in_fake_time(main())


def test_a_released_lease_is_taken_at_the_next_look() -> None:
    async def main() -> None:
        cluster = Leases()
        election = await elected(cluster)
        other = contender(cluster, "b")
        waiting = asyncio.create_task(other.acquire())
        await for_a_while(5, election.renew_until_lost())
        await election.release()
        assert not may_write(election)
        begun = now()
        await waiting
        assert now() - begun <= 1.1

    in_fake_time(main())


@pytest.mark.parametrize("error", [AWAY, SERVER_ERROR, FORBIDDEN], ids=lambda error: error.reason)
def test_a_renewal_that_fails_is_tried_again_until_the_deadline(error: KubernetesError) -> None:
    async def main() -> None:
        cluster = Leases()
        election = await elected(cluster)
        begun = now()
        cluster.fault = lambda _: error if now() < begun + 5.5 else None
        await for_a_while(30, election.renew_until_lost())
        assert may_write(election)
        cluster.fault = lambda _: error
        begun = now()
        message = await lost(election)
        assert 6.1 >= now() - begun >= 3.9
        assert "could not be renewed for 6 s" in message
        assert str(error) in message
        assert "\n" not in message
        assert not may_write(election)

    in_fake_time(main())


def test_an_api_server_that_never_answers_costs_the_lease_in_time() -> None:
    async def main() -> None:
        cluster = Leases()
        election = await elected(cluster)
        begun = now()
        cluster.delay = lambda _: 3600.0
        assert "no answer in time" in await lost(election)
        assert now() - begun <= 6.1

    in_fake_time(main())


def test_leave_to_write_ends_six_seconds_after_the_last_renewal_was_begun() -> None:
    async def main() -> None:
        cluster = Leases()
        cluster.delay = lambda verb: 1.5 if verb == "replace" else 0.0
        election = await elected(cluster)
        await asyncio.sleep(4.4)
        assert may_write(election)
        await asyncio.sleep(0.2)
        assert not may_write(election)

    in_fake_time(main())


def test_a_conflict_because_somebody_has_edited_the_lease_is_renewed_over() -> None:
    async def main() -> None:
        cluster = Leases()
        election = await elected(cluster)
        cluster.edit(strange="label")
        await for_a_while(30, election.renew_until_lost())
        assert may_write(election)

    in_fake_time(main())


def test_a_leader_whose_lease_somebody_has_taken_ends_and_says_who_holds_it() -> None:
    async def main() -> None:
        cluster = Leases()
        election = await elected(cluster)
        cluster.edit(holderIdentity="b")
        assert "is held by b" in await lost(election)
        assert not may_write(election)
        assert cluster.holder == "b"
        await election.release()
        assert cluster.holder == "b"

    in_fake_time(main())


@pytest.mark.parametrize("how", ["deleted", "emptied"])
def test_a_lease_that_somebody_has_taken_away_costs_nobody_the_lead_and_makes_no_second_leader(
    how: str,
) -> None:
    async def main() -> None:
        cluster = Leases()
        election = await elected(cluster)
        other, third = contender(cluster, "b"), contender(cluster, "c")
        waiting = [asyncio.create_task(candidate.acquire()) for candidate in (other, third)]
        renewing = asyncio.create_task(election.renew_until_lost())
        for _ in range(5):
            await asyncio.sleep(7.3)
            if how == "deleted":
                cluster.lease = None
            else:
                cluster.edit(holderIdentity=None)
        await asyncio.sleep(30)
        assert may_write(election)
        assert cluster.holder == "a"
        assert not any(task.done() for task in waiting)
        for task in (*waiting, renewing):
            task.cancel()

    in_fake_time(main())


def test_garbage_in_the_lease_is_waited_out_and_replaced() -> None:
    async def main() -> None:
        cluster = Leases()
        await elected(cluster)
        cluster.edit(
            holderIdentity="x" * 500,
            leaseDurationSeconds=2**31 - 1,
            renewTime=None,
            acquireTime="never",
            leaseTransitions=2**31 - 1,
        )
        begun = now()
        await elected(cluster, "b")
        assert now() - begun <= 11.1
        assert cluster.holder == "b"

    in_fake_time(main())


def test_an_api_server_that_fails_keeps_a_standby_waiting_and_is_not_flooded() -> None:
    async def main() -> None:
        cluster = Leases()
        cluster.fault = lambda _: AWAY if now() < 100 else None
        await elected(cluster)
        assert sum(at < 100 for at, _ in cluster.requests) <= 101
        assert now() <= 112

    in_fake_time(main())


def test_of_many_that_wait_for_a_released_lease_one_leads() -> None:
    async def main() -> None:
        cluster = Leases()
        election = await elected(cluster)
        many = [contender(cluster, f"c{number}") for number in range(8)]
        tasks = [asyncio.create_task(candidate.acquire()) for candidate in many]
        await asyncio.sleep(3)
        await election.release()
        await asyncio.sleep(5)
        assert sum(map(may_write, many)) == 1
        for task in tasks:
            task.cancel()

    in_fake_time(main())


def test_an_acquisition_whose_answer_comes_too_late_counts_for_nothing_and_is_made_again() -> None:
    async def main() -> None:
        cluster = Leases()
        cluster.delay = lambda verb: 3.0 if verb == "replace" and now() < 20 else 0.0
        election = await elected(cluster)
        assert may_write(election)
        assert now() < 25

    in_fake_time(main())


def test_a_lease_that_a_lost_answer_has_brought_is_given_up_at_the_end() -> None:
    async def main() -> None:
        cluster = Leases()
        cluster.delay = lambda verb: 3600.0 if verb == "replace" else 0.0
        election = contender(cluster, "a")
        await for_a_while(11.5, election.acquire())
        assert cluster.holder == "a"
        cluster.delay = lambda _: 0.0
        await election.release()
        assert cluster.holder == ""

    in_fake_time(main())


@pytest.mark.parametrize("error", [AWAY, SERVER_ERROR])
def test_a_release_that_fails_is_no_error(error: KubernetesError) -> None:
    async def main() -> None:
        cluster = Leases()
        election = await elected(cluster)
        cluster.fault = lambda _: error
        await election.release()
        assert not may_write(election)

    in_fake_time(main())


def test_the_dead_man_switch_is_set_with_each_renewal_and_off_after_the_release() -> None:
    async def main() -> None:
        cluster = Leases()
        set_to: list[float] = []
        cluster.delay = lambda verb: 0.5 if verb == "replace" else 0.0
        election = await elected(cluster, watchdog=set_to.append)
        await for_a_while(10, election.renew_until_lost())
        assert set_to == [pytest.approx(TEN.watchdog - 0.5)] * len(set_to)
        assert len(set_to) >= 4
        await election.release()
        assert set_to[-1] == 0

    in_fake_time(main())


def test_one_that_has_lost_the_lease_must_have_ended_before_another_may_hold_it() -> None:
    async def main() -> None:
        cluster = Leases()
        set_to: list[float] = []
        election = await elected(cluster, watchdog=set_to.append)
        begun = now()
        cluster.fault = lambda _: AWAY
        await lost(election)
        assert 0 < now() - begun + set_to[-1] <= TEN.end

    in_fake_time(main())


def test_one_that_is_alone_always_may() -> None:
    async def main() -> None:
        election = NoElection()
        await election.acquire()
        election.guard()
        await election.release()
        await for_a_while(1000, election.renew_until_lost())

    in_fake_time(main())


def test_no_two_processes_have_the_same_identity() -> None:
    assert len({own_identity() for _ in range(100)}) == 100


def test_the_lease_is_in_the_namespace_of_the_pod(tmp_path: Path) -> None:
    file = tmp_path / "namespace"
    assert own_namespace(file) == "tradingbot-system"
    file.write_text("trading-eu\n", encoding="utf-8")
    assert own_namespace(file) == "trading-eu"


WAITS = st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 9))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(WAITS, min_size=1, max_size=30),
    st.lists(st.booleans(), min_size=1, max_size=30),
    st.floats(0.98, 1.02),
    st.floats(-1e5, 1e5),
)
def test_whatever_fails_or_is_slow_two_never_lead(
    delays: list[float], faults: list[bool], rate: float, skew: float
) -> None:
    async def life(election: LeaderElection) -> None:
        while True:
            await election.acquire()
            with suppress(LeaseLostError):
                await election.renew_until_lost()

    async def main() -> None:
        cluster = Leases()
        turn = iter(range(10**9))
        cluster.delay = lambda _: delays[next(turn) % len(delays)]
        cluster.fault = lambda _: AWAY if faults[next(turn) % len(faults)] else None
        both = contender(cluster, "a"), contender(cluster, "b", rate=rate, skew=skew)
        lives = [asyncio.create_task(life(election)) for election in both]
        for _ in range(600):
            await asyncio.sleep(0.1)
            assert not all(map(may_write, both))
        for task in lives:
            task.cancel()

    in_fake_time(main())
