"""Which connection is dropped when there is no room for another one. The clock is a fake."""

from __future__ import annotations

from dataclasses import replace

import pytest
from http_harness import LIMITS, Harness, Wire, post
from tradingbot_webhooks.http.answer_queue import AnswerState
from tradingbot_webhooks.http.connection import Connection
from tradingbot_webhooks.http.listener import Handshake
from tradingbot_webhooks.http.room import Room, Standing

Client = tuple[Connection, Wire]


def ended(*clients: Client) -> list[bool]:
    return [wire.ended == "aborted" for _, wire in clients]


def served(harness: Harness, address: str) -> Client:
    """A client that has been answered a request."""
    client = harness.client(address)
    client[0].data_received(post(b"a"))
    assert client[1].codes() == [200]
    return client


def test_there_is_room_until_the_last_place_is_taken(harness: Harness) -> None:
    clients = [harness.client(str(n)) for n in range(LIMITS.max_connections - 1)]
    assert harness.server.room.make_room("new")
    assert ended(*clients) == [False, False]


def test_a_connection_that_was_never_used_goes_before_one_that_was(harness: Harness) -> None:
    used, late = served(harness, "a"), served(harness, "b")
    harness.after(1)
    fresh = harness.client("c")
    assert harness.server.room.make_room("d")
    assert ended(used, late, fresh) == [False, False, True]


def test_of_two_alike_the_one_that_was_idle_for_longer_goes(harness: Harness) -> None:
    clients = []
    for address in "abc":
        clients.append(served(harness, address))
        harness.after(1)
    clients[0][0].data_received(post(b"again"))
    assert harness.server.room.make_room("d")
    assert ended(*clients) == [False, True, False]


def test_a_handshake_that_is_not_complete_goes_first() -> None:
    room, sockets = Room(LIMITS), FakeSocket()
    harness = Harness()
    harness.server._shared.room = room
    early = harness.client("a")
    handshake = Handshake(sockets, "b", deadline=harness.now + 100, room=room)  # type: ignore[arg-type]
    room.enter(handshake)
    late = harness.client("c")
    assert room.make_room("d")
    assert (ended(early, late), sockets.shut, len(room)) == ([False, False], 1, 2)


def test_a_handshake_under_way_is_not_dropped_for_connections_that_are_older_and_unused() -> None:
    harness = Harness(limits=replace(LIMITS, max_connections=16))
    room, socket = harness.server.room, FakeSocket()
    flood = [harness.client(f"flood-{n}") for n in range(8)]
    slow = [harness.client(f"slow-{n}") for n in range(7)]
    for connection, _ in slow:
        connection.data_received(post(b"abc")[:-1])
    harness.after(0.01)
    young = Handshake(socket, "api-server", deadline=harness.now + 100, room=room)  # type: ignore[arg-type]
    room.enter(young)
    for n in range(15):
        assert room.make_room("next")
        harness.client(f"next-{n}")
        harness.after(0.001)
    assert socket.shut == 0
    assert all(ended(*flood, *slow))


def test_a_connection_of_the_api_server_that_has_not_asked_yet_is_kept_though_it_has_many() -> None:
    harness = Harness(limits=replace(LIMITS, max_connections=16))
    api_server = [served(harness, "api-server") for _ in range(4)]
    flood = [harness.client(f"flood-{n}") for n in range(11)]
    harness.after(0.01)
    fresh = harness.client("api-server")
    for n in range(11):
        assert harness.server.room.make_room("next")
        harness.client(f"next-{n}")
    assert not any(ended(*api_server, fresh))
    assert all(ended(*flood))


class FakeSocket:
    shut = 0

    def shutdown(self, _how: int) -> None:
        self.shut += 1


def test_the_address_with_the_most_connections_loses_one() -> None:
    harness = Harness(limits=replace(LIMITS, max_connections=8))
    alone = served(harness, "alone")
    harness.after(1)
    many = [served(harness, "many") for _ in range(4)]
    others = [served(harness, str(n)) for n in range(3)]
    assert harness.server.room.make_room("new")
    assert ended(alone, *others) == [False] * 4
    assert sum(ended(*many)) == 1


def test_an_address_has_half_of_the_places_and_makes_room_for_itself() -> None:
    harness = Harness(limits=replace(LIMITS, max_connections=8))
    other = harness.client("other")
    mine = [served(harness, "mine") for _ in range(4)]
    assert harness.server.room.make_room("mine")
    assert (ended(other), sum(ended(*mine))) == ([False], 1)


def test_a_slow_request_goes_before_an_idle_connection_that_was_served(harness: Harness) -> None:
    idle = served(harness, "a")
    harness.after(1)
    slow = harness.client("b")
    slow[0].data_received(post(b"abc")[:-1])
    again = served(harness, "c")
    assert harness.server.room.make_room("d")
    assert ended(idle, slow, again) == [False, True, False]
    assert harness.held == 0


def test_a_client_that_does_not_read_goes_before_one_that_was_never_used(harness: Harness) -> None:
    fresh = harness.client("a")
    deaf = served(harness, "b")
    deaf[0].pause_writing()
    harness.client("c")
    assert harness.server.room.make_room("d")
    assert ended(fresh, deaf) == [False, True]


def test_a_client_with_a_certificate_goes_last(harness: Harness) -> None:
    proven, wire = harness.server.connection("a"), Wire(peercert={"subject": ()})
    proven.connection_made(wire)
    assert proven.standing is Standing.PROVEN
    harness.after(1)
    clients = [served(harness, address) for address in "bc"]
    for _ in clients:
        assert harness.server.room.drop_one()
    assert (wire.ended, ended(*clients)) == ("", [True, True])


def test_nobody_is_dropped_while_he_waits_for_an_answer(harness: Harness) -> None:
    room = harness.server.room
    for address in "abc":
        connection, _ = harness.client(address)
        connection._answers.state = AnswerState.AWAITED
    assert not room.make_room("d")
    assert len(room) == 3


def test_who_is_dropped_is_not_answered_and_not_counted_any_more(harness: Harness) -> None:
    connection, wire = harness.client("a")
    connection.data_received(post(b"abc")[:-1])
    connection.evict()
    connection.data_received(b"c")
    connection.connection_lost(None)
    assert (wire.written, len(harness.server.room), harness.held) == (b"", 0, 0)


# ---- bytes


@pytest.mark.parametrize(("mine", "theirs"), [(400, 1200), (100, 1450)])
def test_who_holds_most_makes_room_for_who_holds_less(
    harness: Harness, mine: int, theirs: int
) -> None:
    """1500 bytes may be held, 1000 by one request."""
    greedy = [harness.client("greedy") for _ in range(2)]
    for connection, _ in greedy:
        connection.data_received(post(b"x" * 1000)[: -1000 + theirs // 2])
    modest, wire = harness.client("modest")
    modest.data_received(post(b"x" * mine))
    assert wire.codes() == [200]
    assert sum(ended(*greedy)) == 1


def test_who_was_served_goes_before_who_was_not_whatever_they_hold(harness: Harness) -> None:
    connection, wire = served(harness, "api-server")
    other = harness.client("other")
    connection.data_received(post(b"x" * 1000)[:-1])
    other[0].data_received(post(b"x" * 700)[:-1])
    assert (other[1].codes(), wire.codes()) == ([503], [200])
    connection.data_received(b"x")
    assert wire.codes() == [200, 200]


def test_small_bodies_need_no_room() -> None:
    harness = Harness(limits=replace(LIMITS, small_body=100, max_connections=8))
    for address in "ab":
        harness.client(address)[0].data_received(post(b"x" * 850)[:-1])
    assert harness.server.room.charged == 2 * 749
    connection, wire = harness.client("c")
    connection.data_received(post(b"x" * 100))
    assert wire.codes() == [200]
    assert harness.server.room.charged == 2 * 749
