"""Binance's REST: one aiohttp handler for every call of the table."""

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from tradingbot_exchange.binance.calls import CALLS, NOT_SUPPORTED, Call
from tradingbot_exchange.binance.errors import ApiError, not_supported
from tradingbot_exchange.binance.framing import read_request
from tradingbot_exchange.binance.spot import Spot
from tradingbot_exchange.bodies import read_body

_JSON = "application/json;charset=UTF-8"
_NOT_FOUND = "<html><body><h2>404 Not found</h2></body></html>"
_PLACING = frozenset({"newOrder", "newOco", "newOldOco", "cancelReplace"})
"""Calls whose success carries the order counts."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
Respond = Callable[[web.Request], Awaitable[web.Response]]


def routes(spot: Spot) -> list[web.RouteDef]:
    """Return the routes of all calls, and of those that are refused."""
    defined = [web.route(call.method, call.path, _responder(spot, call)) for call in CALLS]
    refused = [web.route(method, path, _refuse) for method, path in sorted(NOT_SUPPORTED)]
    return [*defined, *refused]


def _responder(spot: Spot, call: Call) -> Respond:
    takes_body = call.method != "GET"

    async def respond(request: web.Request) -> web.Response:
        body = await read_body(request) if takes_body and request.can_read_body else b""
        address, now = request.remote or "", spot.venue.client_time()
        try:
            sent, proof = read_request(request.headers, raw_query(request), body)
            answer = spot.answer(call, sent, proof, address=address)
        except ApiError as error:
            headers = usage_headers(spot, call, address, now)
            return error_response(error, headers)
        headers = usage_headers(spot, call, address, now)
        if call.name in _PLACING:
            account = spot.venue.keys[proof.key or ""].account
            for interval, _, count in spot.order_counts.counts(account, now=now):
                headers[interval.header] = str(count)
        return web.Response(body=_encode(answer).encode(), headers=headers)

    return respond


def raw_query(request: web.BaseRequest) -> bytes:
    """Return the query as it was sent, byte by byte."""
    return request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")


def usage_headers(spot: Spot, call: Call, address: str, now: int) -> dict[str, str]:
    """Return the content type, and how much of its weight the address has used."""
    if call.path.startswith("/sapi/"):
        return {"Content-Type": _JSON, "X-SAPI-USED-IP-WEIGHT-1M": "1"}
    used = str(spot.weights.used(address, now=now))
    return {"Content-Type": _JSON, "X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}


def error_response(error: ApiError, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error. Those of faults come without headers of their own."""
    headers = {"Content-Type": _JSON} if headers is None else headers
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return web.Response(body=_encode(error.body()).encode(), status=error.status, headers=headers)


async def _refuse(request: web.Request) -> web.Response:
    del request
    return error_response(not_supported())


async def not_found(request: web.Request) -> web.Response:
    """Answer unknown paths, and methods that a path does not have, as Binance's front end does."""
    del request
    return web.Response(text=_NOT_FOUND, status=404, content_type="text/html")
