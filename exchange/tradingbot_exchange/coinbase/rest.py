"""The REST calls: from an HTTP request to the function that answers it."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from tradingbot_exchange.bodies import read_body
from tradingbot_exchange.coinbase import history, market_data, trading, wallets
from tradingbot_exchange.coinbase.authentication import SignedRequest, authenticate
from tradingbot_exchange.coinbase.calls import CALLS, V3, Access, Call
from tradingbot_exchange.coinbase.errors import (
    ApiError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    compact,
)
from tradingbot_exchange.coinbase.order_requests import parse_json
from tradingbot_exchange.coinbase.orders import Orders
from tradingbot_exchange.coinbase.queries import Query, Request
from tradingbot_exchange.coinbase.rate_limits import (
    PUBLIC_PER_SECOND,
    Allowance,
    PerSecond,
)
from tradingbot_exchange.venue import ApiKey, Venue

Answer = Mapping[str, object]
HttpHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_OF_VENUE: Mapping[str, Callable[[Venue, Request], Answer]] = {
    f"GET {V3}/time": market_data.time,
    f"GET {V3}/market/products": market_data.products,
    f"GET {V3}/market/products/{{product_id}}": market_data.product,
    f"GET {V3}/market/products/{{product_id}}/candles": market_data.candles,
    f"GET {V3}/market/products/{{product_id}}/ticker": market_data.ticker,
    f"GET {V3}/market/product_book": market_data.product_book,
    f"GET {V3}/products": market_data.products,
    f"GET {V3}/products/{{product_id}}": market_data.product,
    f"GET {V3}/products/{{product_id}}/candles": market_data.candles,
    f"GET {V3}/products/{{product_id}}/ticker": market_data.ticker,
    f"GET {V3}/product_book": market_data.product_book,
    f"GET {V3}/best_bid_ask": market_data.best_bid_ask,
    f"GET {V3}/accounts": wallets.accounts,
    f"GET {V3}/accounts/{{account_uuid}}": wallets.account,
    f"GET {V3}/portfolios": wallets.portfolios,
    f"GET {V3}/portfolios/{{portfolio_uuid}}": wallets.portfolio,
    f"GET {V3}/transaction_summary": wallets.transaction_summary,
    f"GET {V3}/key_permissions": wallets.key_permissions,
    "GET /v2/time": wallets.time_v2,
    "GET /v2/currencies": wallets.currencies_v2,
    "GET /v2/currencies/crypto": wallets.crypto_v2,
    "GET /v2/exchange-rates": wallets.exchange_rates_v2,
    "GET /v2/accounts": wallets.accounts_v2,
}
_OF_ORDERS: Mapping[str, Callable[[Orders, Request], Answer]] = {
    f"POST {V3}/orders": trading.create,
    f"POST {V3}/orders/preview": trading.preview,
    f"POST {V3}/orders/edit": trading.edit,
    f"POST {V3}/orders/edit_preview": trading.edit_preview,
    f"POST {V3}/orders/batch_cancel": trading.cancel,
    f"POST {V3}/orders/close_position": trading.close_position,
    f"GET {V3}/orders/historical/batch": history.batch,
    f"GET {V3}/orders/historical/fills": history.fills,
    f"GET {V3}/orders/historical/{{order_id}}": history.order,
}

_LEGACY = ("CB-ACCESS-KEY", "CB-ACCESS-SIGN", "CB-ACCESS-TIMESTAMP")
_NEEDED = {Access.VIEW: "read", Access.TRADE: "trade"}


class Rest:
    """The REST calls of one venue."""

    def __init__(self, venue: Venue, orders: Orders, *, private_per_second: int) -> None:
        self._venue = venue
        self._orders = orders
        self._by_key = PerSecond(private_per_second)
        self._by_address = PerSecond(PUBLIC_PER_SECOND)

    def add_routes(self, app: web.Application) -> None:
        """Add a route for each call of the table, and for no other method."""
        for call in CALLS:
            app.router.add_route(call.method, call.path, self._handler(call))

    def _handler(self, call: Call) -> HttpHandler:
        name = f"{call.method} {call.path}"
        of_venue, of_orders = _OF_VENUE.get(name), _OF_ORDERS.get(name)

        def answer(request: Request) -> Answer:
            if of_orders is not None:
                return of_orders(self._orders, request)
            if of_venue is None:
                raise NotImplementedError(name)
            return of_venue(self._venue, request)

        async def handle(request: web.Request) -> web.StreamResponse:
            body = await read_body(request)
            key, allowance = self._admit(call, request, body)
            if not allowance.allowed:
                return error_answer(RateLimitedError(), {**allowance.headers(), "retry-after": "1"})
            try:
                _check_permission(call, key)
                self._venue.advance()
                result = answer(_read(request, key, body))
            except ApiError as error:
                return error_answer(error, allowance.headers())
            return json_answer(result, headers=allowance.headers())

        return handle

    def _admit(
        self, call: Call, request: web.Request, body: bytes
    ) -> tuple[ApiKey | None, Allowance]:
        """Check the signature, and count the request. Raises UnauthorizedError."""
        now = self._venue.now()
        if call.access is Access.PUBLIC:
            return None, self._by_address.take(request.remote or "", now_ms=now)
        path, _, query = request.raw_path.partition("?")
        signed = SignedRequest(
            method=request.method,
            host=request.host,
            path=path,
            query=query,
            body=body.decode(errors="replace"),
            authorization=request.headers.get("Authorization"),
            legacy={name: request.headers[name] for name in _LEGACY if name in request.headers},
        )
        key = authenticate(signed, self._venue.keys, now_s=self._venue.client_time() // 1000)
        return key, self._by_key.take(key.name, now_ms=now)


def _check_permission(call: Call, key: ApiKey | None) -> None:
    if key is not None and _NEEDED[call.access] not in key.permissions:
        raise PermissionDeniedError


def _read(request: web.Request, key: ApiKey | None, body: bytes) -> Request:
    values = {name: request.query.getall(name) for name in request.query}
    return Request(
        key=key,
        path=dict(request.match_info),
        query=Query(values),
        body=parse_json(body) if request.method == "POST" else {},
    )


def json_answer(
    value: Answer, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a JSON body."""
    return web.Response(
        text=compact(value),
        status=status,
        content_type="application/json",
        headers=headers,
    )


def error_answer(error: ApiError, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the answer to a call that failed."""
    return web.Response(
        text=error.body(), status=error.status, content_type=error.content_type, headers=headers
    )


@web.middleware
async def exchange_errors(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
    """Put errors into the exchange's form: those of signatures, and those of HTTP itself."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_answer(error)
    except web.HTTPNotFound:
        if request.path.startswith("/v2/"):
            return json_answer(
                {"errors": [{"id": "not_found", "message": "Not found"}]}, status=404
            )
        return error_answer(NotFoundError("no such path"))
    except web.HTTPMethodNotAllowed as error:
        failure = ApiError(405, "METHOD_NOT_ALLOWED", "the path has no such method")
        return error_answer(failure, {"Allow": error.headers["Allow"]})
    except web.HTTPRequestEntityTooLarge:
        return error_answer(ApiError(413, "INVALID_ARGUMENT", "the body is too large"))
