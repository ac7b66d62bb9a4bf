"""Put a simulated exchange together from a few choices, in memory or from a stored state."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from tradingbot_exchange.clock import MarketClock, Wall, first_anchor
from tradingbot_exchange.engine.types import RefusedError
from tradingbot_exchange.errors import SettingError
from tradingbot_exchange.faults.scenario import ScenarioStep, read_scenario
from tradingbot_exchange.market.market import Market
from tradingbot_exchange.market.prices import STEP_MS, GeneratedPrices, Prices
from tradingbot_exchange.market.replay import ReplayedPrices, read_candles
from tradingbot_exchange.market.symbols import DialectName, Symbol, default_symbols, scaled
from tradingbot_exchange.recorded_engine import RecordedEngine
from tradingbot_exchange.simulated import Journal, SimulatedVenue
from tradingbot_exchange.venue import ApiKey

_NORMAL_SPEED = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a user can choose of an exchange.

    `market_start` is the time in the market file at which the exchange starts, in milliseconds; the
    rows before are its past. `balances` are deposits of each account that is new.
    """

    dialect: DialectName
    seed: int
    speed: Decimal = _NORMAL_SPEED
    market_file: Path | None = None
    market_start: int | None = None
    scenario: Path | None = None
    balances: Mapping[str, Decimal] = field(default_factory=dict)
    aliases: bool = False
    """Whether there are products in USDC that have the market of those in USD."""

    def symbols(self) -> tuple[Symbol, ...]:
        """Return what is traded."""
        return default_symbols(self.dialect, aliases=self.aliases)


def wall_clock() -> int:
    """Return the real time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def simulated_venue(
    choices: Choices, *, keys: Iterable[ApiKey] = (), wall: Wall = wall_clock
) -> SimulatedVenue:
    """Return an exchange in memory, at its first moment. Raises ExchangeError."""
    engine = RecordedEngine(symbol.instrument for symbol in choices.symbols())
    anchor = first_anchor(wall(), choices.speed)
    begin = anchor.market // 1000 * 1000
    clock = MarketClock(wall, anchor)
    venue = venue_of(choices, engine, clock=clock, begin=begin, keys=keys)
    venue.market.open_parties(engine)
    open_accounts(venue, choices.balances)
    return venue


def venue_of(
    choices: Choices,
    engine: RecordedEngine,
    *,
    clock: MarketClock,
    begin: int,
    keys: Iterable[ApiKey],
    journal: Journal | None = None,
) -> SimulatedVenue:
    """Return an exchange around an engine. Raises ExchangeError."""
    symbols = choices.symbols()
    prices = prices_of(choices, [each for each in symbols if not each.follows], begin)
    scenario = scenario_of(choices, symbols)
    symbols = tuple(scaled(s, prices.price(s.book, 0)) for s in symbols)
    return SimulatedVenue(
        engine=engine,
        market=Market(symbols, prices, seed=choices.seed, begin=begin),
        clock=clock,
        keys={key.name: key for key in keys},
        scenario=scenario,
        journal=journal,
    )


def prices_of(choices: Choices, symbols: Sequence[Symbol], begin: int) -> Prices:
    """Return generated prices, or those of the market file. Raises MarketFileError."""
    names = [symbol.instrument.symbol for symbol in symbols]
    if choices.market_file is None:
        first, second, cross = symbols
        return GeneratedPrices(
            choices.seed,
            first=(first.instrument.symbol, first.start_price),
            second=(second.instrument.symbol, second.start_price),
            cross=cross.instrument.symbol,
        )
    file = read_candles(choices.market_file, symbols=names)
    start = file.first if choices.market_start is None else choices.market_start
    if not file.first <= start < file.end:
        raise SettingError(
            f"{choices.market_file}: the market can't start at {start}: the file is from"
            f" {file.first} to {file.end} (milliseconds since the epoch)"
        )
    # Candles of the file stay aligned with those of the exchange.
    ahead = begin % file.interval // STEP_MS * STEP_MS
    return ReplayedPrices(file, origin=start // file.interval * file.interval + ahead)


def scenario_of(choices: Choices, symbols: Sequence[Symbol]) -> tuple[ScenarioStep, ...]:
    """Return the scenario's steps. Raises ScenarioError."""
    if choices.scenario is None:
        return ()
    names = tuple(symbol.instrument.symbol for symbol in symbols)
    return read_scenario(choices.scenario, symbols=names)


def open_accounts(venue: SimulatedVenue, balances: Mapping[str, Decimal]) -> None:
    """Give every account that has a key and is new its balances. Raises SettingError."""
    known = set(venue.accounts())
    for account in dict.fromkeys(key.account for key in venue.keys.values()):
        if account in known:
            continue
        for asset, amount in balances.items():
            try:
                venue.credit(account, asset, amount)
            except RefusedError as error:
                raise SettingError(f"balance {asset}={amount}: {error.detail}") from error
