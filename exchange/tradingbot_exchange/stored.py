"""An exchange whose state is in a file."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter

from tradingbot_exchange.assembly import Choices, open_accounts, venue_of, wall_clock
from tradingbot_exchange.clock import Anchor, MarketClock, Wall, first_anchor, next_anchor
from tradingbot_exchange.engine.types import Event, RefusedError, Trade, TradeEvent
from tradingbot_exchange.errors import StateError
from tradingbot_exchange.market.candles import KEPT
from tradingbot_exchange.market.prices import STEP_MS
from tradingbot_exchange.recorded_engine import RecordedEngine
from tradingbot_exchange.simulated import SimulatedVenue
from tradingbot_exchange.state import CandleRow, StateFile
from tradingbot_exchange.venue import ApiKey

_FEWEST = 1_000
"""Changes before a new snapshot."""
_BYTES_PER_CHANGE = 200
"""A new snapshot is made when the journal is about as long as the last one."""
_TRADES_STORED = 1_000

_TRADE: TypeAdapter[Trade] = TypeAdapter(Trade)
_ANCHOR: TypeAdapter[Anchor] = TypeAdapter(Anchor)


class StoredVenue:
    """An exchange with its state file. Raises ExchangeError."""

    def __init__(
        self,
        path: Path,
        choices: Choices,
        *,
        keys: Iterable[ApiKey] = (),
        wall: Wall = wall_clock,
    ) -> None:
        self._file = StateFile(path)
        self._path = path
        self._snapshot_bytes = 0
        self._saved = 0
        try:
            meta = self._file.meta()
            self._choices = _checked(path, choices, meta)
            state = self._file.snapshot()
            if state is None:
                self._begin(keys, wall)
            else:
                self._resume(meta, state, keys, wall)
            open_accounts(self.venue, self._choices.balances)
            self.save()
        except BaseException:
            self._file.close()
            raise

    @property
    def seed(self) -> int:
        """The seed, from the state if there is one."""
        return self._choices.seed

    def maintain(self) -> None:
        """Make a snapshot if the journal has become long. Call it now and then.

        Raises StateError, also if an earlier change could not be written.
        """
        self._file.check()
        if self._file.entries >= max(_FEWEST, self._snapshot_bytes // _BYTES_PER_CHANGE):
            self.save()

    def save(self) -> None:
        """Make a snapshot. Raises StateError."""
        venue, since = self.venue, self._saved
        state = {
            "engine": venue.recorded_engine.snapshot(),
            "step": venue.step,
            "market": venue.market_state(),
            "trades": {
                symbol: [_TRADE.dump_python(t, mode="json") for t in list(kept)[-_TRADES_STORED:]]
                for symbol, kept in venue.trades_kept.items()
            },
        }
        meta = _meta(self._choices) | {
            "begin": venue.market.begin,
            "anchor": _ANCHOR.dump_python(venue.clock.anchor, mode="json"),
        }
        self._snapshot_bytes = self._file.save(
            meta=meta, state=state, candles=_candles(venue, since)
        )
        self._saved = venue.market.time_of(venue.step)
        for symbol in venue.market.symbols:
            for interval, count in KEPT.items():
                self._file.prune_candles(symbol, interval, self._saved - 2 * count * interval)

    def close(self) -> None:
        """Make a last snapshot, and close the file."""
        try:
            self.save()
        finally:
            self._file.close()

    def _begin(self, keys: Iterable[ApiKey], wall: Wall) -> None:
        anchor = first_anchor(wall(), self._choices.speed)
        engine = RecordedEngine(s.instrument for s in self._choices.symbols())
        clock = MarketClock(wall, anchor)
        self.venue = self._venue(engine, anchor.market // 1000 * 1000, clock, keys)
        self.venue.market.open_parties(engine)

    def _resume(
        self, meta: dict[str, Any], state: dict[str, Any], keys: Iterable[ApiKey], wall: Wall
    ) -> None:
        instruments = [s.instrument for s in self._choices.symbols()]
        try:
            engine = cast("RecordedEngine", RecordedEngine.restore(instruments, state["engine"]))
            events, step, market = _replayed(engine, state, self._file.journal())
            old = _ANCHOR.validate_python(meta["anchor"])
            begin = int(meta["begin"])
        except (ValueError, KeyError, TypeError, RefusedError) as error:
            raise StateError(f"{self._path} can't be read: {error}") from error
        latest = begin + step * STEP_MS
        anchor = next_anchor(old, wall=wall(), speed=self._choices.speed, latest=latest)
        clock = MarketClock(wall, anchor, latest=latest)
        self.venue = self._venue(engine, begin, clock, keys)
        for symbol, trades in state["trades"].items():
            self.venue.trades_kept[symbol].extend(_TRADE.validate_python(t) for t in trades)
        for symbol, candles in self.venue.candles_kept.items():
            candles.recorded.restore(
                {
                    interval: [json.loads(r) for r in self._file.candles(symbol, interval, n)]
                    for interval, n in KEPT.items()
                }
            )
        self.venue.restore(step=step, market=market, events=events)
        self._saved = self.venue.market.time_of(state["step"])

    def _venue(
        self, engine: RecordedEngine, begin: int, clock: MarketClock, keys: Iterable[ApiKey]
    ) -> SimulatedVenue:
        return venue_of(
            self._choices, engine, clock=clock, begin=begin, keys=keys, journal=self._file
        )


def stored_seed(path: Path) -> int | None:
    """Return the seed of an existing state, or None. Raises StateError."""
    if not path.exists():
        return None
    file = StateFile(path)
    try:
        seed = file.meta().get("seed")
    finally:
        file.close()
    return None if seed is None else int(seed)


def _replayed(
    engine: RecordedEngine, state: dict[str, Any], journal: Iterator[dict[str, Any]]
) -> tuple[list[Event], int, dict[str, Any]]:
    """Carry out the journal; return the trades, the last step and the last state of the market."""
    step, market = int(state["step"]), dict(state["market"])
    events: list[Event] = []
    for entry in journal:
        for call in entry["calls"]:
            events += [e for e in engine.carry_out(call) if isinstance(e, TradeEvent)]
        step, market = int(entry["step"]), entry.get("market", market)
    engine.taken_calls()
    return events, step, market


def _meta(choices: Choices) -> dict[str, Any]:
    """Return what must be the same when an exchange starts again, by the name for users."""
    instruments = repr([symbol.instrument for symbol in choices.symbols()])
    market = "generated"
    if choices.market_file is not None:
        content = choices.market_file.read_bytes()
        market = f"{hashlib.sha256(content).hexdigest()} from {choices.market_start}"
    return {
        "dialect": choices.dialect.value,
        "symbols": hashlib.sha256(instruments.encode()).hexdigest(),
        "seed": choices.seed,
        "market": market,
    }


def _checked(path: Path, choices: Choices, meta: dict[str, Any]) -> Choices:
    """Return the choices. Raises StateError if the state is that of another exchange."""
    for name, value in _meta(choices).items():
        if meta and meta.get(name) != value:
            shown = f" ({meta.get(name)}, not {value})" if name in {"dialect", "seed"} else ""
            raise StateError(
                f"{path} is the state of an exchange with another {name}{shown}: start with the"
                f" same {name}, or with another --state"
            )
    return choices


def _candles(venue: SimulatedVenue, since: int) -> Iterator[CandleRow]:
    """Iterate over the candles that have changed since a time in milliseconds."""
    for symbol, candles in venue.candles_kept.items():
        for interval, start, row in candles.recorded.rows_since(since):
            yield symbol, interval, start, json.dumps(row)
