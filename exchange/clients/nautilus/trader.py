"""A nautilus node that trades by a script and writes what it saw, a line of JSON for each event.

It is a process of its own because nautilus allows one node, and one logger, in a process. The
command line has what it does (`trade`, `reject` or `resume`) and the file to write to.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from nautilus_trader.adapters.binance import (
    BINANCE,
    BinanceAccountType,
    BinanceDataClientConfig,
    BinanceExecClientConfig,
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
)
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LiveExecEngineConfig,
    LoggingConfig,
    StrategyConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId, TraderId
from nautilus_trader.trading.strategy import Strategy

BTC = InstrumentId.from_str("BTCUSDT.BINANCE")


def say(event: str, **more: Any) -> None:
    with Path(sys.argv[2]).open("a") as file:  # not stdout, which the logger writes to as well
        file.write(json.dumps({"event": event, **more}) + "\n")


class Script(Strategy):
    """What all three have in common: events are written, and the node ends when told."""

    def __init__(self) -> None:
        # Orders found at the exchange are those of this strategy, so it gets their events.
        super().__init__(StrategyConfig(strategy_id="SCRIPT", external_order_claims=[BTC]))

    def on_order_accepted(self, event: Any) -> None:
        self.step("accepted", event)

    def on_order_filled(self, event: Any) -> None:
        more = {"quantity": str(event.last_qty), "price": str(event.last_px)}
        self.step("filled", event, commission=str(event.commission), **more)

    def on_order_canceled(self, event: Any) -> None:
        self.step("canceled", event)

    def on_order_rejected(self, event: Any) -> None:
        self.step("rejected", event, reason=event.reason)

    def on_order_denied(self, event: Any) -> None:
        self.step("denied", event, reason=event.reason)

    def step(self, name: str, event: Any, **more: Any) -> None:
        say(name, order=str(event.client_order_id), **more)
        self.next(name)

    def next(self, name: str) -> None:
        raise NotImplementedError

    def limit(self, price: float) -> Any:
        instrument = self.cache.instrument(BTC)
        order = self.order_factory.limit(
            BTC, OrderSide.BUY, instrument.make_qty(0.01), instrument.make_price(price)
        )
        self.submit_order(order)
        return order

    def market(self, quantity: float) -> None:
        amount = self.cache.instrument(BTC).make_qty(quantity)
        self.submit_order(self.order_factory.market(BTC, OrderSide.BUY, amount))

    def end(self) -> None:
        say("end")
        self.shutdown_system("the script has ended")


class Trade(Script):
    """A limit order that stays, a market order, and a limit order that is canceled."""

    def on_start(self) -> None:
        self.done: list[str] = []
        self.subscribe_quote_ticks(BTC)

    def on_quote_tick(self, tick: Any) -> None:
        if self.done:
            return
        self.done.append("quote")
        say("quote", bid=str(tick.bid_price), ask=str(tick.ask_price))
        self.price = float(tick.bid_price) * 0.8
        self.limit(self.price)

    def next(self, name: str) -> None:
        self.done.append(name)
        if self.done == ["quote", "accepted"]:
            self.market(0.001)
        elif name == "filled" and "second" not in self.done:
            self.done.append("second")
            self.second = self.limit(self.price * 0.99)  # a gateway refuses the same entry again
        elif name == "accepted" and "second" in self.done:
            self.cancel_order(self.second)
        elif name == "canceled":
            self.end()


class Reject(Script):
    """An order that the exchange refuses."""

    def on_start(self) -> None:
        self.market(0.001)

    def next(self, name: str) -> None:
        self.end()


class Resume(Script):
    """What the node knows after a start from nothing but the exchange, and a cancel of it."""

    def on_start(self) -> None:
        for order in self.cache.orders_open(venue=BTC.venue):
            say("known", order=str(order.client_order_id), status=order.status_string())
            self.cancel_order(order)

    def next(self, name: str) -> None:
        self.end()


def node(script: Script) -> TradingNode:
    """Return a node whose Binance is the simulated one."""
    where = {
        "api_key": os.environ["EXCHANGE_KEY"],
        "api_secret": os.environ["EXCHANGE_SECRET"],
        "account_type": BinanceAccountType.SPOT,
        "base_url_http": os.environ["EXCHANGE_URL"],
        "instrument_provider": InstrumentProviderConfig(load_ids=frozenset({BTC})),
    }
    made = TradingNode(
        TradingNodeConfig(
            trader_id=TraderId("TESTER-001"),
            logging=LoggingConfig(log_level="INFO", log_colors=False),
            exec_engine=LiveExecEngineConfig(reconciliation_lookback_mins=1440),
            data_clients={
                BINANCE: BinanceDataClientConfig(base_url_ws=os.environ["EXCHANGE_WS_URL"], **where)
            },
            exec_clients={
                BINANCE: BinanceExecClientConfig(
                    base_url_ws=os.environ["EXCHANGE_WS_URL"] + "/ws-api/v3", **where
                )
            },
            timeout_connection=60,
            timeout_reconciliation=30,
            timeout_portfolio=30,
            timeout_disconnection=5,
            timeout_post_stop=1,
        )
    )
    made.trader.add_strategy(script)
    made.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    made.add_exec_client_factory(BINANCE, BinanceLiveExecClientFactory)
    made.build()
    return made


def main(word: str) -> None:
    made = node({"trade": Trade, "reject": Reject, "resume": Resume}[word]())
    try:
        made.run()
    finally:
        made.dispose()


if __name__ == "__main__":
    main(sys.argv[1])
