"""Orders, fills and balances tell one story, whatever was sent."""

from decimal import Decimal
from typing import Any

from coinbase_harness import KEYS, QuietVenue, quiet_venue
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_exchange.coinbase import history, trading, wallets
from tradingbot_exchange.coinbase.errors import ApiError
from tradingbot_exchange.coinbase.order_requests import STOP_DOWN, STOP_UP
from tradingbot_exchange.coinbase.orders import Orders
from tradingbot_exchange.coinbase.queries import Query, Request
from tradingbot_exchange.engine.types import Side

PRICES = st.integers(90, 110).map(str)
SIZES = st.decimals("0.1", "3", places=1).map(str)
SIDES = st.sampled_from(["BUY", "SELL"])
FORMS = st.one_of(
    st.tuples(
        st.sampled_from(["limit_limit_gtc", "sor_limit_ioc", "limit_limit_fok"]),
        st.fixed_dictionaries({"base_size": SIZES, "limit_price": PRICES}),
    ),
    st.tuples(st.just("market_market_ioc"), st.fixed_dictionaries({"base_size": SIZES})),
    st.tuples(
        st.just("market_market_ioc"),
        st.fixed_dictionaries({"quote_size": st.integers(1, 300).map(str)}),
    ),
    st.tuples(
        st.just("stop_limit_stop_limit_gtc"),
        st.fixed_dictionaries(
            {
                "base_size": SIZES,
                "limit_price": PRICES,
                "stop_price": PRICES,
                "stop_direction": st.sampled_from([STOP_UP, STOP_DOWN]),
            }
        ),
    ),
    st.tuples(
        st.just("trigger_bracket_gtc"),
        st.fixed_dictionaries(
            {"base_size": SIZES, "limit_price": PRICES, "stop_trigger_price": PRICES}
        ),
    ),
)
BRACKETS = st.tuples(
    st.just("trigger_bracket_gtc"),
    st.fixed_dictionaries(
        {
            "base_size": SIZES,
            "limit_price": st.integers(101, 110).map(str),
            "stop_trigger_price": st.integers(90, 99).map(str),
        }
    ),
)
"""Brackets that a sale near 100 is accepted with."""
STEPS = st.one_of(
    st.tuples(st.just("order"), SIDES, FORMS),
    st.tuples(st.just("order"), st.just("SELL"), BRACKETS),
    st.tuples(st.just("trade"), st.integers(85, 115).map(str), st.none()),
    st.tuples(st.just("cancel"), st.integers(0, 20), st.none()),
    st.tuples(st.just("edit"), st.integers(0, 20), st.tuples(PRICES, SIZES)),
    st.tuples(st.just("quote"), SIDES, st.tuples(PRICES, SIZES)),
)


class Account:
    """One account and its calls, without HTTP between."""

    def __init__(self, venue: QuietVenue) -> None:
        self.venue = venue
        self.orders = Orders(venue)
        self.ids: list[str] = []

    def request(self, body: dict[str, Any] | None = None, **query: str) -> Request:
        """Return a call of the account."""
        values = {name: [value] for name, value in query.items()}
        return Request(key=KEYS["ed"], body=body or {}, query=Query(values))

    def do(self, kind: str, first: Any, second: Any) -> None:
        """Carry out one step. What the exchange refuses has no effect."""
        if kind == "order":
            form, members = second
            answer = trading.create(
                self.orders,
                self.request(
                    {
                        "client_order_id": f"order {len(self.ids)} {self.venue.time}",
                        "product_id": "BTC-USD",
                        "side": first,
                        "order_configuration": {form: members},
                    }
                ),
            )
            if answer["success"]:
                self.ids.append(str(answer["order_id"]))
        elif kind == "trade":
            self.venue.trade_at(first)
        elif kind == "quote":
            self.venue.quote(Side(first), *second)
        elif first < len(self.ids):
            order_id = self.ids[first]
            if kind == "cancel":
                trading.cancel(self.orders, self.request({"order_ids": [order_id]}))
            else:
                price, size = second
                body = {"order_id": order_id, "price": price, "size": size}
                trading.edit(self.orders, self.request(body))
        self.venue.time += 1000

    def money(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Return what is available, and what is held, of each asset."""
        shown: Any = wallets.accounts(self.venue, self.request())["accounts"]
        return {
            each["currency"]: (
                Decimal(each["available_balance"]["value"]),
                Decimal(each["hold"]["value"]),
            )
            for each in shown
        }


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=25))
def test_orders_fills_and_balances_agree(steps: list[tuple[str, Any, Any]]) -> None:
    account = Account(quiet_venue(max_stops=200))
    before = account.money()
    for kind, first, second in steps:
        try:
            account.do(kind, first, second)
        except ApiError as error:
            raise AssertionError(error) from error
    orders: Any = history.batch(account.orders, account.request())["orders"]
    fills: Any = history.fills(account.orders, account.request(limit="1000"))["fills"]
    assert [order["order_id"] for order in orders] == account.ids[::-1]
    bought = spent = held_money = held_coins = Decimal(0)
    for order in orders:
        own = [fill for fill in fills if fill["order_id"] == order["order_id"]]
        sign = 1 if order["side"] == "BUY" else -1
        size = sum((Decimal(fill["size"]) for fill in own), Decimal(0))
        value = sum((Decimal(fill["size"]) * Decimal(fill["price"]) for fill in own), Decimal(0))
        fees = sum((Decimal(fill["commission"]) for fill in own), Decimal(0))
        assert Decimal(order["filled_size"]) == size
        assert Decimal(order["filled_value"]) == value
        assert Decimal(order["total_fees"]) == fees
        assert Decimal(order["total_value_after_fees"]) == value + sign * fees
        assert int(order["number_of_fills"]) == len(own)
        assert (order["status"] == "FILLED") <= (order["completion_percentage"] == "100")
        assert (order["status"] == "OPEN") == (Decimal(order["outstanding_hold_amount"]) > 0)
        bought += sign * size
        spent += sign * value + fees
        if sign > 0:
            held_money += Decimal(order["outstanding_hold_amount"])
        else:
            held_coins += Decimal(order["outstanding_hold_amount"])
    after = account.money()
    assert sum(after["BTC"]) == sum(before["BTC"]) + bought
    assert sum(after["USD"]) == sum(before["USD"]) - spent
    assert after["BTC"][1] == held_coins
    # The engine holds fees in its smallest unit, for each order.
    assert abs(after["USD"][1] - held_money) <= Decimal("0.00000001") * len(orders)
