"""The table of all calls that are served. docs/exchange-coinbase.md has the same rows."""

from dataclasses import dataclass
from enum import StrEnum

V3 = "/api/v3/brokerage"


class Access(StrEnum):
    """Who may make a call: anyone, a key that may view, a key that may trade."""

    PUBLIC = "public"
    VIEW = "view"
    TRADE = "trade"


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `{name}` in the path stands for one segment."""

    method: str
    path: str
    access: Access
    summary: str


CALLS: tuple[Call, ...] = (
    Call("GET", f"{V3}/time", Access.PUBLIC, "the exchange's time"),
    Call("GET", f"{V3}/market/products", Access.PUBLIC, "all products"),
    Call("GET", f"{V3}/market/products/{{product_id}}", Access.PUBLIC, "one product"),
    Call("GET", f"{V3}/market/products/{{product_id}}/candles", Access.PUBLIC, "candles"),
    Call("GET", f"{V3}/market/products/{{product_id}}/ticker", Access.PUBLIC, "the latest trades"),
    Call("GET", f"{V3}/market/product_book", Access.PUBLIC, "the order book"),
    Call("GET", f"{V3}/products", Access.VIEW, "all products"),
    Call("GET", f"{V3}/products/{{product_id}}", Access.VIEW, "one product"),
    Call("GET", f"{V3}/products/{{product_id}}/candles", Access.VIEW, "candles"),
    Call("GET", f"{V3}/products/{{product_id}}/ticker", Access.VIEW, "the latest trades"),
    Call("GET", f"{V3}/product_book", Access.VIEW, "the order book"),
    Call("GET", f"{V3}/best_bid_ask", Access.VIEW, "the best level of both sides"),
    Call("GET", f"{V3}/accounts", Access.VIEW, "balances, in pages"),
    Call("GET", f"{V3}/accounts/{{account_uuid}}", Access.VIEW, "one balance"),
    Call("GET", f"{V3}/portfolios", Access.VIEW, "the one portfolio"),
    Call("GET", f"{V3}/portfolios/{{portfolio_uuid}}", Access.VIEW, "what is in the portfolio"),
    Call("GET", f"{V3}/transaction_summary", Access.VIEW, "fees and volume of 30 days"),
    Call("GET", f"{V3}/key_permissions", Access.VIEW, "what the key may do"),
    Call("POST", f"{V3}/orders", Access.TRADE, "send an order"),
    Call("POST", f"{V3}/orders/preview", Access.VIEW, "check an order"),
    Call("POST", f"{V3}/orders/edit", Access.TRADE, "change an open order"),
    Call("POST", f"{V3}/orders/edit_preview", Access.VIEW, "check a change"),
    Call("POST", f"{V3}/orders/batch_cancel", Access.TRADE, "cancel orders"),
    Call("POST", f"{V3}/orders/close_position", Access.TRADE, "refused: it is for futures"),
    Call("GET", f"{V3}/orders/historical/batch", Access.VIEW, "orders, in pages"),
    Call("GET", f"{V3}/orders/historical/fills", Access.VIEW, "fills, in pages"),
    Call("GET", f"{V3}/orders/historical/{{order_id}}", Access.VIEW, "one order"),
    Call("GET", "/v2/time", Access.PUBLIC, "the exchange's time"),
    Call("GET", "/v2/currencies", Access.PUBLIC, "fiat currencies"),
    Call("GET", "/v2/currencies/crypto", Access.PUBLIC, "crypto currencies"),
    Call("GET", "/v2/exchange-rates", Access.PUBLIC, "the rates of one currency"),
    Call("GET", "/v2/accounts", Access.VIEW, "balances"),
)
