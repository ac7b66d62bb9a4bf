"""The state file: what is in it after an end at any moment, and what it refuses."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_exchange.engine.types import OrderStatus, RefusedError, Side
from tradingbot_exchange.errors import StateError
from tradingbot_exchange.faults.model import FAULT
from tradingbot_exchange.market.candles import MINUTE
from tradingbot_exchange.market.symbols import DialectName
from tradingbot_exchange.simulated import SimulatedVenue
from tradingbot_exchange.state import StateFile
from tradingbot_exchange.stored import StoredVenue, stored_seed
from venue_samples import KEYS, START, Clock, choices, limit, market, write


def opened(path: Path, clock: Clock, **changes: Any) -> StoredVenue:
    return StoredVenue(path, choices(**changes), keys=KEYS, wall=clock)


def killed(stored: StoredVenue) -> None:
    """Let go of the file as the end of a process does: nothing is written."""
    stored._file.close()


def everything(venue: SimulatedVenue, clock: Clock) -> list[object]:
    return [
        venue.recorded_engine.snapshot(),
        venue.step,
        venue.market_state(),
        venue.market.begin,
        {s: venue.trades(s) for s in venue.market.symbols},
        [
            venue.candles(s, i, start=START - 5 * i, end=clock.time)
            for s in venue.market.symbols
            for i in (1000, 5000, MINUTE)
        ],
    ]


ACTIONS = st.lists(
    st.sampled_from(["wait", "buy", "sell", "bid", "cancel", "crash", "calm", "save", "kill"]),
    max_size=14,
)


@settings(max_examples=12, deadline=None)
@given(ACTIONS)
def test_an_exchange_goes_on_where_it_was_killed(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str]
) -> None:
    clock = Clock()
    path = tmp_path_factory.mktemp("state") / "x.db"
    stored = opened(path, clock)
    for action in [*actions, "wait", "kill"]:
        venue = stored.venue
        if action == "wait":
            for _ in range(8):
                clock.time += 250
                venue.advance()
        elif action in {"buy", "sell", "bid"}:
            order = (
                limit(Side.BUY, "0.01", Decimal(50000))
                if action == "bid"
                else market(Side.BUY if action == "buy" else Side.SELL, "0.1")
            )
            with suppress(RefusedError):
                venue.apply(lambda e, now, order=order: e.submit("main", order, now=now))  # type: ignore[misc]
        elif action == "cancel":
            for open_order in venue.engine.open_orders("main"):
                number = open_order.id
                venue.apply(lambda e, now, n=number: e.cancel("main", n, now=now))  # type: ignore[misc]
        elif action == "crash":
            venue.add_fault(FAULT.validate_python({"type": "crash", "percent": 5}))
        elif action == "calm":
            venue.remove_all_faults()
        elif action == "save":
            stored.save()
        else:
            before = everything(venue, clock)
            killed(stored)
            stored = opened(path, clock)
            assert everything(stored.venue, clock) == before
    killed(stored)


def test_the_market_goes_on_while_the_exchange_is_down(tmp_path: Path) -> None:
    clock = Clock()
    stored = opened(tmp_path / "x.db", clock)
    order = stored.venue.apply(
        lambda e, now: e.submit("main", limit(Side.BUY, "0.01", Decimal(50000)), now=now)
    )
    stored.close()
    clock.time += 3_600_000
    again = opened(tmp_path / "x.db", clock)
    again.venue.advance()
    assert again.venue.now() == clock.time
    assert again.venue.step == 4 * 3600
    assert [o.request for o in again.venue.engine.open_orders("main")] == [order.request]  # type: ignore[attr-defined]
    assert again.venue.engine.open_orders("main")[0].status is OrderStatus.OPEN
    again.close()


def test_time_does_not_go_back_when_the_speed_changes(tmp_path: Path) -> None:
    clock = Clock()
    stored = opened(tmp_path / "x.db", clock, speed=Decimal(100))
    clock.time += 60_000
    stored.venue.advance()
    latest = stored.venue.now()
    assert latest == START + 6_000_000
    stored.close()
    again = opened(tmp_path / "x.db", clock)
    assert again.venue.now() >= latest - 250
    again.close()


def test_new_accounts_are_funded_and_old_ones_are_not_funded_again(tmp_path: Path) -> None:
    clock = Clock()
    opened(tmp_path / "x.db", clock).close()
    stored = opened(tmp_path / "x.db", clock, balances={"USDT": Decimal(5)})
    assert stored.venue.engine.balances("main")["USDT"].free == 1_000_000
    stored.close()


def test_the_seed_is_known_from_the_state(tmp_path: Path) -> None:
    assert stored_seed(tmp_path / "x.db") is None
    opened(tmp_path / "x.db", Clock(), seed=41).close()
    assert stored_seed(tmp_path / "x.db") == 41


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dialect": DialectName.COINBASE}, r"another dialect \(binance, not coinbase\)"),
        ({"seed": 8}, r"another seed \(7, not 8\)"),
    ],
)
def test_the_state_of_another_exchange_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    opened(tmp_path / "x.db", Clock()).close()
    with pytest.raises(StateError, match=message):
        opened(tmp_path / "x.db", Clock(), **changes)
    opened(tmp_path / "x.db", Clock()).close()  # it is still whole


def test_the_state_of_another_version_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "x.db", Clock()).close()
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StateError, match="is of version 99 of the state, this program reads 1"):
        opened(tmp_path / "x.db", Clock())


def test_files_that_are_no_state_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = write(tmp_path / "notes.txt", "my notes " * 100)
    with pytest.raises(StateError, match="is not a state of an exchange"):
        StateFile(text)
    assert text.read_text(encoding="utf-8") == "my notes " * 100
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    with pytest.raises(StateError, match="is not a state of an exchange; name another file"):
        StateFile(tmp_path / "other.db")
    with pytest.raises(StateError, match="cannot open"):
        StateFile(tmp_path / "none" / "x.db")


def test_two_processes_do_not_share_a_state(tmp_path: Path) -> None:
    stored = opened(tmp_path / "x.db", Clock())
    with pytest.raises(StateError, match="is used by another process"):
        opened(tmp_path / "x.db", Clock())
    stored.close()


def test_a_damaged_snapshot_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "x.db", Clock()).close()
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("""UPDATE snapshot SET state = '{"engine": {}, "step": 1}'""")
    database.close()
    with pytest.raises(StateError, match=r"can't be read"):
        opened(tmp_path / "x.db", Clock())


def test_after_a_change_that_can_not_be_written_nothing_more_is_accepted(tmp_path: Path) -> None:
    clock = Clock()
    stored = opened(tmp_path / "x.db", clock)
    stored.venue.credit("main", "BTC", Decimal(1))
    pages = stored._file._database.execute("PRAGMA page_count").fetchone()[0]
    stored._file._database.execute(f"PRAGMA max_page_count = {pages}")
    done = 0

    def deposit_until_full() -> None:
        nonlocal done
        while True:
            stored.venue.credit("main", "USDT", Decimal(1))
            done += 1

    with pytest.raises(StateError, match=r"cannot write .* full"):
        deposit_until_full()
    stored._file._database.execute("PRAGMA max_page_count = 100000")
    with pytest.raises(StateError, match=r"cannot write .* full"):
        stored.venue.credit("main", "USDT", Decimal(1))
    with pytest.raises(StateError, match=r"cannot write .* full"):
        stored.maintain()
    with pytest.raises(StateError, match=r"cannot write .* full"):
        stored.close()
    again = opened(tmp_path / "x.db", clock)
    assert again.venue.engine.balances("main")["BTC"].free == 11
    assert again.venue.engine.balances("main")["USDT"].free == 1_000_000 + done
    again.close()


def test_the_journal_is_replaced_by_a_snapshot_before_it_grows_without_bound(
    tmp_path: Path,
) -> None:
    clock = Clock()
    stored = opened(tmp_path / "x.db", clock)
    most = 0
    for _ in range(2200):
        clock.time += 1
        stored.venue.credit("main", "USDT", Decimal(1))
        stored.maintain()
        most = max(most, stored._file.entries)
    assert most <= 2000
    killed(stored)
    again = opened(tmp_path / "x.db", clock)
    assert again.venue.engine.balances("main")["USDT"].free == 1_002_200
    again.close()
