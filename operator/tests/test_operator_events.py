"""What is posted as an event, what is only counted, and what happens if that fails."""

import asyncio
import json
from collections.abc import Iterable
from datetime import timedelta
from itertools import count

import pytest
from client_server import REFUSED, Server, against
from fake_cluster import FakeCluster, Fault
from hypothesis import given
from hypothesis import strategies as st
from operator_harness import NOW, bot_body
from tradingbot_api.model import JsonObject
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.event_correlation import (
    CAPACITY,
    COMBINED,
    MOST_MESSAGES,
    PAUSE,
    Correlation,
)
from tradingbot_operator.cluster.events import NORMAL, WARNING, Recorder, Transition


def test_an_event_is_about_its_object() -> None:
    server = Server([(201, {"kind": "Event"})])
    body = bot_body()
    against(server, lambda api: Recorder(api).post(body, (NORMAL, "Paused", "m" * 2000), NOW))
    event = json.loads(server.bodies[0])
    assert event["involvedObject"]["uid"] == "uid-arb"
    assert event["metadata"]["namespace"] == "desk"
    assert (event["type"], event["reason"], event["count"]) == ("Normal", "Paused", 1)
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-03-04T12:00:00Z"
    assert len(event["message"]) <= 1024


def test_the_name_of_an_event_is_valid_whatever_the_object_is_called() -> None:
    server = Server([(201, {"kind": "Event"})])
    body = bot_body(metadata={"name": "a" * 199 + "-.bc"})
    against(server, lambda api: Recorder(api).post(body, (NORMAL, "Paused", "m"), NOW))
    name = json.loads(server.bodies[0])["metadata"]["name"]
    assert "-." not in name
    assert len(name) <= 253


def test_an_event_that_can_not_be_posted_is_logged_and_holds_nothing_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server([(403, REFUSED)])
    against(server, lambda api: Recorder(api).post(bot_body(), (NORMAL, "Paused", "m"), NOW))
    assert "Could not post the event Paused" in caplog.text


PAUSED = (NORMAL, "Paused", "paused")


def posted(
    *events: Transition, cluster: FakeCluster | None = None, bodies: Iterable[JsonObject] = ()
) -> list[JsonObject]:
    """Return what is stored after one recorder has posted these events, a second apart."""
    cluster = cluster or FakeCluster()
    recorder = Recorder(cluster)
    subjects = [*bodies] or [bot_body()] * len(events)

    async def post() -> None:
        for seconds, (body, event) in enumerate(zip(subjects, events, strict=True)):
            await recorder.post(body, event, NOW + timedelta(seconds=seconds))

    asyncio.run(post())
    return cluster.posted


def test_an_event_that_repeats_is_counted() -> None:
    (event,) = posted(PAUSED, PAUSED, PAUSED)
    assert event["count"] == 3
    assert event["firstTimestamp"] == "2026-03-04T12:00:00Z"
    assert event["lastTimestamp"] == "2026-03-04T12:00:02Z"


def test_events_of_another_reason_type_message_or_object_are_events_of_their_own() -> None:
    other = bot_body(metadata={"name": "other", "uid": "uid-other"})
    again = bot_body(metadata={"uid": "created again"})
    events = [
        (PAUSED, bot_body()),
        ((NORMAL, "Resumed", "paused"), bot_body()),
        ((WARNING, "Paused", "paused"), bot_body()),
        ((NORMAL, "Paused", "another"), bot_body()),
        (PAUSED, other),
        (PAUSED, again),
    ]
    found = posted(*(event for event, _ in events), bodies=[body for _, body in events])
    assert [event["count"] for event in found] == [1] * len(events)


def test_many_messages_of_one_kind_are_combined() -> None:
    events = [(NORMAL, "Updated", f"hash {number}") for number in range(30)]
    found = posted(*events, events[0])
    assert len(found) == MOST_MESSAGES
    combined = found[-1]
    assert (combined["message"], combined["count"]) == (f"{COMBINED}hash 29", 21)
    assert found[0]["count"] == 2  # a message that has its own event keeps it


def test_an_event_that_has_expired_is_created_again_with_its_count() -> None:
    cluster = FakeCluster()
    recorder = Recorder(cluster)

    async def scenario() -> None:
        await recorder.post(bot_body(), PAUSED, NOW)
        cluster.posted.clear()
        await recorder.post(bot_body(), PAUSED, NOW + timedelta(hours=2))
        await recorder.post(bot_body(), PAUSED, NOW + timedelta(hours=2))

    asyncio.run(scenario())
    (event,) = cluster.posted
    assert (event["count"], event["firstTimestamp"]) == (3, "2026-03-04T12:00:00Z")


@pytest.mark.parametrize("failing", [0, 1], ids=["the first", "the second"])
def test_after_an_event_could_not_be_written_the_next_one_is(failing: int) -> None:
    cluster = FakeCluster()
    recorder = Recorder(cluster)

    async def scenario() -> None:
        for number in range(3):
            error = KubernetesError(500, "InternalError", "etcd is away")
            verbs = ("create", "merge") if number == failing else ()
            cluster.faults = [Fault(verb, "Event", error) for verb in verbs]
            await recorder.post(bot_body(), PAUSED, NOW)

    asyncio.run(scenario())
    (event,) = cluster.posted
    assert event["count"] == (2 if failing == 0 else 3)


def test_an_update_is_a_patch_of_the_same_event() -> None:
    server = Server([(201, {"kind": "Event"}), (200, {"kind": "Event"})])

    async def twice(recorder: Recorder) -> None:
        for _ in range(2):
            await recorder.post(bot_body(), PAUSED, NOW)

    against(server, lambda api: twice(Recorder(api)))
    created, patch = map(json.loads, server.bodies)
    assert patch == {"message": "paused", "lastTimestamp": "2026-03-04T12:00:00Z", "count": 2}
    assert created["count"] == 1


def test_after_a_pause_messages_have_events_of_their_own_again() -> None:
    correlation, names = Correlation(), count()

    def message(number: int, at: timedelta) -> str:
        found = correlation.occurrence(
            ("bot", NORMAL, "Updated"), str(number), NOW + at, new_name=lambda: str(next(names))
        )
        return found.message

    assert [message(number, PAUSE * number) for number in range(20)][-1] == f"{COMBINED}19"
    assert message(20, PAUSE * 20 + timedelta(seconds=1)) == "20"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 14)), max_size=60))
def test_no_event_is_lost_and_few_are_created(happened: list[tuple[str, int]]) -> None:
    correlation, names = Correlation(), count()
    latest = {}
    for about, number in happened:
        found = correlation.occurrence(
            (about, NORMAL, "Updated"), str(number), NOW, new_name=lambda: str(next(names))
        )
        latest[found.name] = found
        assert found.message.removeprefix(COMBINED) == str(number)
    assert sum(found.count for found in latest.values()) == len(happened)
    assert len(latest) <= 2 * MOST_MESSAGES


def test_a_bounded_number_of_events_is_remembered() -> None:
    correlation = Correlation()
    for number in range(CAPACITY + 10):
        correlation.occurrence((number, NORMAL, "Paused"), "m", NOW, new_name=lambda: "n")
    assert len(correlation._written._values) == len(correlation._similar._values) == CAPACITY
