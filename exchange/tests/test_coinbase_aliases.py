"""Products in USDC that have the book of the product in USD."""

from __future__ import annotations

from decimal import Decimal

import pytest
from coinbase_harness import Client, QuietVenue, instrument, run
from tradingbot_exchange.assembly import Choices, simulated_venue
from tradingbot_exchange.coinbase.aliases import aliases_of, book_of
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import NewOrder, OrderType, Side
from tradingbot_exchange.faults.model import FAULT
from tradingbot_exchange.market.symbols import DialectName
from tradingbot_exchange.simulated import SimulatedVenue
from tradingbot_exchange.venue import ApiKey
from venue_samples import Clock

ALIAS, BOOK = "BTC-USDC", "BTC-USD"
KNOWN = frozenset({ALIAS, BOOK, "ETH-USDC", "ETH-BTC"})


def venue(clock: Clock) -> SimulatedVenue:
    choices = Choices(
        dialect=DialectName.COINBASE,
        seed=7,
        balances={"USDC": Decimal(100_000)},
        aliases=True,
    )
    made = simulated_venue(
        choices, keys=[ApiKey(name="key", account="main", secret="")], wall=clock
    )
    made.advance()
    return made


def both() -> QuietVenue:
    return QuietVenue(Engine([instrument(BOOK), instrument(ALIAS)]))


@pytest.mark.parametrize(
    ("product", "book", "aliases"),
    [
        (ALIAS, BOOK, []),
        (BOOK, BOOK, [ALIAS]),
        ("ETH-USDC", "ETH-USDC", []),
        ("ETH-BTC", "ETH-BTC", []),
    ],
)
def test_an_alias_has_the_book_of_a_product_that_there_is(
    product: str, book: str, aliases: list[str]
) -> None:
    assert book_of(product, KNOWN) == book
    assert aliases_of(product, KNOWN) == aliases


def test_the_list_of_products_names_the_book_and_its_aliases() -> None:
    async def scenario(client: Client) -> None:
        found = {}
        for product in (ALIAS, BOOK):
            answer = await client.get(f"market/products/{product}")
            found[product] = (answer["alias"], answer["alias_to"])
        assert found == {ALIAS: (BOOK, []), BOOK: ("", [ALIAS])}

    run(scenario, both())


@pytest.mark.parametrize("channel", ["level2", "ticker", "ticker_batch", "market_trades"])
def test_market_channels_have_the_name_of_the_book(channel: str) -> None:
    async def scenario(client: Client) -> None:
        async with client.socket() as socket:
            await socket.subscribe(channel, ALIAS)
            confirmed = await socket.next()
            assert confirmed["events"] == [{"subscriptions": {channel: [BOOK]}}]
            event = (await socket.next())["events"][0]
            assert ALIAS not in str(event)

    run(scenario, both())


def test_an_alias_has_the_prices_of_its_book_and_falls_with_it() -> None:
    clock = Clock()
    made = venue(clock)
    assert made.engine.book(ALIAS, 5).asks == made.engine.book(BOOK, 5).asks
    before = made.engine.book(ALIAS, 1).bids[0].price
    made.add_fault(FAULT.validate_python({"type": "crash", "percent": 10, "over": "1s"}))
    for _ in range(8):
        clock.time += 250
        made.advance()
    after = made.engine.book(ALIAS, 1).bids[0].price
    assert Decimal("0.88") < after / before < Decimal("0.92")
    assert made.engine.book(ALIAS, 5).asks == made.engine.book(BOOK, 5).asks


def test_a_halt_of_the_book_halts_its_alias() -> None:
    clock = Clock()
    made = venue(clock)
    halt = made.add_fault(FAULT.validate_python({"type": "halt", "symbol": BOOK}))
    assert made.engine.is_halted(ALIAS)
    made.remove_fault(halt.id)
    assert not made.engine.is_halted(ALIAS)


def test_an_order_of_an_alias_is_paid_in_its_own_asset() -> None:
    made = venue(Clock())
    order = NewOrder(symbol=ALIAS, side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01"))
    made.apply(lambda engine, now: engine.submit("main", order, now=now))
    (fill,) = made.engine.fills("main")
    assert (fill.symbol, fill.fee_asset) == (ALIAS, "USDC")
    balances = made.engine.balances("main")
    assert balances["BTC"].free == Decimal("0.01")
    assert Decimal(99_000) < balances["USDC"].free < Decimal(99_500)


def test_without_them_the_market_is_as_before() -> None:
    plain = Choices(dialect=DialectName.COINBASE, seed=7)
    assert [each.instrument.symbol for each in plain.symbols()] == [BOOK, "ETH-USD", "ETH-BTC"]
    few, more = simulated_venue(plain, wall=Clock()), venue(Clock())
    few.advance()
    assert few.engine.book(BOOK, 12) == more.engine.book(BOOK, 12)
