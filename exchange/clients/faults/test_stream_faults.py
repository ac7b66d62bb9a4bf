"""Faults of streams, begun by a call and by a scenario, as a user of ccxt.pro meets them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import pytest
from served import Served

from conftest import Dialect

SECONDS = 60
Scene = Callable[[Dialect, Any, Served], Coroutine[Any, Any, None]]


@asynccontextmanager
async def connected(dialect: Dialect, served: Served) -> AsyncIterator[Any]:
    client = getattr(ccxt.pro, dialect.name)(dialect.options(served))
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


def run(dialect: Dialect, served: Served, scene: Scene) -> None:
    async def play() -> None:
        async with connected(dialect, served) as client, asyncio.timeout(SECONDS):
            await scene(dialect, client, served)

    asyncio.run(play())


async def watch_for_ever(dialect: Dialect, client: Any) -> None:
    while True:
        await client.watch_trades(dialect.symbol)


async def is_cut_and_comes_back(dialect: Dialect, client: Any, _served: Served) -> None:
    with pytest.raises(ccxt.NetworkError):
        await watch_for_ever(dialect, client)
    while True:  # it may be cut again
        try:
            assert await client.watch_trades(dialect.symbol)
        except ccxt.NetworkError:
            continue
        break


async def keeps_doubled_trades(dialect: Dialect, client: Any, served: Served) -> None:
    """See what ccxt keeps: for Coinbase trades by their id, for Binance all that come."""
    doubled = 0
    while doubled < 3:
        await client.watch_trades(dialect.symbol)
        doubled = sum(each["hits"] for each in await asyncio.to_thread(served.active_faults))
    ids = [trade["id"] for trade in client.trades[dialect.symbol]]
    assert (len(ids) == len(set(ids))) is (dialect.name == "coinbase")


async def shows_no_more_trades(dialect: Dialect, client: Any, _served: Served) -> None:
    """See none for a while, although the exchange has new ones."""
    newest = None
    while True:
        before = await client.fetch_trades(dialect.symbol)
        try:
            await asyncio.wait_for(client.watch_trades(dialect.symbol), 3)
        except TimeoutError:
            newest = (await client.fetch_trades(dialect.symbol))[-1]["id"]
            if newest != before[-1]["id"]:
                return


DATA = {"binance": '"e":"trade"', "coinbase": '"market_trades"'}
CASES: list[tuple[str, Scene]] = [
    ("cut-streams", is_cut_and_comes_back),
    ("double-events", keeps_doubled_trades),
    ("drop-events", shows_no_more_trades),
]
NAMES = [name for name, _ in CASES]


def fault(name: str, dialect: Dialect) -> dict[str, Any]:
    if name == "cut-streams":
        return {"type": name}
    return {"type": name, "contains": DATA[dialect.name], "for": "10m"}


@pytest.mark.parametrize(("name", "seen"), CASES, ids=NAMES)
def test_a_fault_begun_by_a_call_is_seen(
    dialect: Dialect, exchange: Served, name: str, seen: Scene
) -> None:
    async def scene(dialect: Dialect, client: Any, served: Served) -> None:
        await client.watch_trades(dialect.symbol)
        watching = asyncio.create_task(seen(dialect, client, served))
        begun = False
        while not watching.done():
            # A cut between two calls raises nothing, ccxt connects again: cut until it is met.
            if not begun or name == "cut-streams":
                await asyncio.to_thread(served.add_fault, **fault(name, dialect))
                begun = True
            await asyncio.wait([watching], timeout=1)
        await watching

    try:
        run(dialect, exchange, scene)
    finally:
        exchange.end_faults()


@pytest.mark.parametrize(("name", "seen"), CASES, ids=NAMES)
def test_a_fault_of_a_scenario_is_seen(
    dialect: Dialect, tmp_path: Path, name: str, seen: Scene
) -> None:
    # Streams are cut at an instant, so often enough that one of them is after the subscription.
    times = range(2, 60, 2) if name == "cut-streams" else range(1)
    steps = [{"at": f"{second}s", **fault(name, dialect)} for second in times]
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(json.dumps({"steps": steps}))
    with dialect.serve(tmp_path, "--scenario", str(scenario)) as served:
        run(dialect, served, seen)
