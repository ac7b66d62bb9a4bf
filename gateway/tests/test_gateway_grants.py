"""When the operator's grant lets entries through: the decision, the file, and a real gateway."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path

import pytest
from exchange_process import eventually
from gateway_process import Gateway, Gateways
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_api.entry_grant import MARGIN_SECONDS, EntryGrant, Moment
from tradingbot_gateway.grants import GrantFile, node_moment, permission

BOOT = "6f0b2a52-6c4e-4d2b-9d0f-1f1f8d3a9c11"
NOW = Moment(BOOT, 5_000_000, 1_764_072_000_000)
REFUSED = "x-tradingbot-refused"


def moved(seconds: float, *, wall: float | None = None) -> Moment:
    """The moment `seconds` after NOW, by the wall clock `wall` seconds."""
    by_wall = seconds if wall is None else wall
    return Moment(BOOT, NOW.elapsed + int(seconds * 1000), NOW.wall + int(by_wall * 1000))


def grant(**changes: object) -> EntryGrant:
    fields = {"pod": "me", "moment": NOW.text(), "seconds": 300, "config_hash": "abc"}
    return EntryGrant.model_validate(fields | changes)


def judged(found: EntryGrant | None, now: Moment = NOW, *, live: bool = True) -> str:
    answer = permission(found, pod="me", now=now, config_hash="abc", live=live)
    return answer.not_granted or answer.outdated or ""


@pytest.mark.parametrize(
    ("found", "now", "said"),
    [
        (grant(), moved(0), ""),
        (grant(), moved(299.9), ""),
        (grant(), moved(300), "not renewed the grant for 300 s"),
        (grant(), moved(10, wall=300), "not renewed"),  # a machine that was paused
        (grant(), moved(300, wall=-50), "not renewed"),  # a clock that was set back
        (grant(), moved(10, wall=-5000), ""),
        (grant(), moved(-1), "not for this run of the node"),  # of the future
        (grant(), Moment("other", NOW.elapsed, NOW.wall), "not for this run of the node"),
        (grant(moment=None), NOW, "not for this run of the node"),
        (grant(moment="x/1/2/3"), NOW, "not for this run of the node"),
        (grant(seconds=None), NOW, "not for this run of the node"),
        (grant(pod="other"), NOW, "has not granted any to this pod"),
        (None, NOW, "has not granted any to this pod"),
        (grant(withdrawn="Paused"), NOW, "withdrawn the grant: Paused"),
        (grant(config_hash="later"), NOW, "the limits have changed"),
    ],
)
def test_entries_need_a_grant_for_this_pod_that_lasts(
    found: EntryGrant | None, now: Moment, said: str
) -> None:
    assert said in judged(found, now)
    assert bool(said) == bool(judged(found, now))


def test_in_paper_only_a_withdrawal_and_other_limits_stop_entries() -> None:
    assert not judged(None, live=False)
    assert not judged(grant(pod="other", withdrawn="Paused"), live=False)
    assert not judged(grant(), moved(9999), live=False)
    assert "Paused" in judged(grant(withdrawn="Paused"), live=False)
    assert "changed" in judged(grant(config_hash="later"), live=False)


@pytest.mark.parametrize(
    ("found", "now", "stands_by"),
    [
        (None, NOW, True),
        (grant(pod="other"), NOW, True),
        (grant(withdrawn="Paused"), NOW, False),
        (grant(seconds=60), moved(60), False),
        (grant(seconds=60), moved(60 + MARGIN_SECONDS - 0.001), False),
        (grant(seconds=60), moved(60 + MARGIN_SECONDS), True),
        (grant(), Moment("another-boot", 5, 5), True),
    ],
)
def test_a_gateway_leaves_protection_to_another_as_soon_as_another_may_have_the_right(
    found: EntryGrant | None, now: Moment, stands_by: bool
) -> None:
    answer = permission(found, pod="me", now=now, config_hash="abc", live=True)
    assert answer.not_granted
    assert answer.stands_by is stands_by


def test_other_limits_do_not_cancel_what_is_open() -> None:
    answer = permission(grant(config_hash="later"), pod="me", now=NOW, config_hash="abc", live=True)
    assert answer.not_granted is None


@given(st.floats(0, 10_000), st.floats(-10_000, 10_000), st.integers(1, 3600))
def test_a_grant_never_lasts_longer_than_its_seconds_by_either_clock(
    seconds: float, wall: float, lasts: int
) -> None:
    if not judged(grant(seconds=lasts), moved(seconds, wall=wall)):
        assert int(seconds * 1000) < lasts * 1000
        assert int(wall * 1000) < lasts * 1000


@given(st.text(max_size=50))
def test_any_text_is_a_moment_or_none(text: str) -> None:
    found = Moment.read(text)
    assert found is None or Moment.read(found.text()) == found


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b"[1]", b"x" * 5000, b'{"pod": 1}'])
def test_a_file_that_is_no_grant_grants_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "entries"
    path.write_bytes(content)
    file = GrantFile(path, "me")
    assert file._grant is None


def test_a_moment_of_the_node_is_read_back_and_goes_on() -> None:
    first = node_moment()
    assert Moment.read(first.text()) == first
    since = node_moment().seconds_since(first)
    assert since is not None
    assert 0 <= since < 60


# ---- a real gateway


def write(path: Path, found: EntryGrant) -> None:
    following = path.with_name("next-grant")
    following.write_text(found.text())
    following.replace(path)


def granted(gateway: Gateway, path: Path, **changes: object) -> None:
    """Grant entries as the operator does: with the moment that the gateway says."""
    answer = gateway.report("/moment").body
    write(
        path, grant(**{"moment": answer["moment"], "config_hash": answer["configHash"], **changes})
    )


def control_of(gateway: Gateway) -> str:
    return str(gateway.order().headers.get(REFUSED, ""))


def test_a_gateway_follows_its_grant(start: Gateways, tmp_path: Path) -> None:
    path = tmp_path / "entries"
    path.write_text("")
    flags = ("--grant-file", str(path), "--pod-uid", "me")
    gateway = start(*flags, maxOrdersPerMinute=1000, maxPositionSize="90000").ready()
    assert control_of(gateway) == "NotGranted"  # also before anyone could write

    granted(gateway, path)
    eventually(lambda: gateway.order().status == 200)
    low = gateway.price() * Decimal("0.98")
    assert gateway.limit(low).status == 200
    resting = [order for order in gateway.open_orders() if order["side"] == "BUY"]
    assert resting

    # Other limits than the gateway has: entries wait, and what is open stays.
    granted(gateway, path, config_hash="later")
    eventually(lambda: control_of(gateway) == "NotGranted")
    assert [order for order in gateway.open_orders() if order["side"] == "BUY"] == resting
    content = gateway.content | {"risk": gateway.content["risk"] | {"maxOpenPositions": 2}}
    write(path, grant(moment=node_moment().text(), config_hash=gateway.write(content)))
    eventually(lambda: gateway.order().status == 200)

    # A withdrawal cancels what is open, and exits pass.
    granted(gateway, path, withdrawn="Paused")
    eventually(lambda: control_of(gateway) == "NotGranted")
    eventually(lambda: not [order for order in gateway.open_orders() if order["side"] == "BUY"])
    assert gateway.order(side="SELL").status == 200

    # A grant that is not renewed ends by itself.
    granted(gateway, path, seconds=2)
    eventually(lambda: gateway.order().status == 200)
    begun = time.monotonic()
    eventually(lambda: control_of(gateway) == "NotGranted")
    assert time.monotonic() - begun < 2.5


def test_a_gateway_that_stood_still_does_not_let_the_first_entry_through(
    start: Gateways, tmp_path: Path
) -> None:
    path = tmp_path / "entries"
    gateway = start("--grant-file", str(path), "--pod-uid", "me").ready()
    granted(gateway, path, seconds=2)
    eventually(lambda: gateway.order().status == 200)
    gateway.pause()
    time.sleep(2.1)  # the time itself is what ends a grant
    gateway.resume()
    assert control_of(gateway) == "NotGranted"


def test_a_gateway_that_waits_for_its_right_leaves_the_other_alone_and_knows_what_it_bought(
    start: Gateways, tmp_path: Path
) -> None:
    path = tmp_path / "entries"
    path.write_text("")
    exchange = start.exchanges("--balance", "USDT=100000")
    one = start(exchange=exchange, maxOrdersPerMinute=1000).ready()
    two = start("--grant-file", str(path), "--pod-uid", "me", exchange=exchange).ready()
    while (answer := one.order(quantity=f"{0.001 + one.orders % 90 * 0.00001:.5f}")).status == 200:
        assert control_of(two) == "NotGranted"
    assert answer.headers[REFUSED] == "MaxPositionSize"
    eventually(lambda: len(one.open_orders()) == 2)
    own = [line for line in two.drop_copy() if line.get("action")]
    assert not own  # neither a cancel nor protection
    granted(two, path)
    eventually(lambda: control_of(two) == "MaxPositionSize")
