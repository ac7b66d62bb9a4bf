"""The HTTP interface of the control port.

The port is for this machine alone. It has no authentication, so a page in a browser must not reach
it either: bodies must be `application/json`, which a page can't send elsewhere without asking, and
the Host header must name this machine.
"""

import json
import re
from decimal import Decimal
from typing import Annotated, Any

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tradingbot_exchange.bodies import read_body
from tradingbot_exchange.control.statement import statement
from tradingbot_exchange.engine.types import Order, RefusedError
from tradingbot_exchange.faults.board import ActiveFault, UnknownFaultError
from tradingbot_exchange.faults.model import FAULT, FAULT_TYPES
from tradingbot_exchange.faults.scenario import problems
from tradingbot_exchange.simulated import SimulatedVenue, UnknownSymbolError

_MAX_BODY = 64 * 1024
_MAX_LISTED = 10_000
_LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})

VENUE: web.AppKey[SimulatedVenue] = web.AppKey("venue", SimulatedVenue)

routes = web.RouteTableDef()


class Deposit(BaseModel):
    """A deposit, or a withdrawal if negative."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    asset: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,20}$")]
    amount: Annotated[Decimal, Field(max_digits=20, decimal_places=8, allow_inf_nan=False)]


class ControlError(Exception):
    """A request that can't be carried out, with its HTTP status and texts for the user."""

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__("; ".join(errors))
        self.status = status
        self.errors = errors


def control_app(venue: SimulatedVenue) -> web.Application:
    """Return the application."""
    app = web.Application(middlewares=[_errors], client_max_size=_MAX_BODY)
    app[VENUE] = venue
    app.add_routes(routes)
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        _check_host(request)
        return await handler(request)
    except ControlError as error:
        return _answer({"errors": error.errors}, status=error.status)
    except (UnknownFaultError, UnknownSymbolError) as error:
        return _answer({"errors": [error.args[0]]}, status=404)
    except web.HTTPNotFound:
        known = sorted({f"{r.method} {r.path}" for r in routes if isinstance(r, web.RouteDef)})
        return _answer({"errors": [f"no such path; supported: {', '.join(known)}"]}, status=404)
    except web.HTTPException as error:
        return _answer({"errors": [error.reason]}, status=error.status)


def _check_host(request: web.Request) -> None:
    host = re.sub(r":\d+$", "", request.host)
    if host not in _LOCAL:
        raise ControlError(403, "the control port is for this machine: use 127.0.0.1")


@routes.get("/faults")
async def list_faults(request: web.Request) -> web.Response:
    """Return the active faults, and the types that exist."""
    active = [_fault(a) for a in request.app[VENUE].board]
    return _answer({"faults": active, "types": list(FAULT_TYPES)})


@routes.post("/faults")
async def add_fault(request: web.Request) -> web.Response:
    """Begin a fault."""
    body = await _body(request)
    try:
        fault = FAULT.validate_python(body)
    except ValidationError as error:
        raise ControlError(422, *problems(error)) from error
    return _answer(_fault(request.app[VENUE].add_fault(fault)), status=201)


@routes.get("/faults/{id}")
async def show_fault(request: web.Request) -> web.Response:
    """Return one active fault."""
    return _answer(_fault(request.app[VENUE].board.get(request.match_info["id"])))


@routes.delete("/faults/{id}")
async def end_fault(request: web.Request) -> web.Response:
    """End a fault."""
    return _answer(_fault(request.app[VENUE].remove_fault(request.match_info["id"])))


@routes.delete("/faults")
async def end_faults(request: web.Request) -> web.Response:
    """End all faults."""
    return _answer({"ended": [_fault(a) for a in request.app[VENUE].remove_all_faults()]})


@routes.get("/market")
async def show_market(request: web.Request) -> web.Response:
    """Return the time, and prices by symbol."""
    venue = request.app[VENUE]
    venue.advance()
    symbols = {}
    for name in venue.market.symbols:
        book = venue.engine.book(name, 1)
        last = venue.engine.last_price(name)
        symbols[name] = {
            "bid": f"{book.bids[0].price:f}" if book.bids else None,
            "ask": f"{book.asks[0].price:f}" if book.asks else None,
            "last": None if last is None else f"{last:f}",
            "halted": venue.engine.is_halted(name),
        }
    return _answer(
        {
            "time": venue.now(),
            "clientTime": venue.client_time(),
            "begin": venue.market.begin,
            "speed": f"{venue.clock.anchor.speed:f}",
            "step": venue.step,
            "regime": venue.market.prices.regime(venue.step),
            "symbols": symbols,
        }
    )


@routes.get("/accounts")
async def list_accounts(request: web.Request) -> web.Response:
    """Return the names of all accounts."""
    return _answer({"accounts": request.app[VENUE].accounts()})


@routes.get("/accounts/{name}/statement")
async def show_statement(request: web.Request) -> web.Response:
    """Return a statement of the fills since `since` (milliseconds), `limit` of them listed."""
    venue, name = request.app[VENUE], _account(request)
    venue.advance()
    engine = venue.engine
    instruments = {i.symbol: i for i in engine.instruments()}
    books = {symbol: engine.book(symbol, 1) for symbol in instruments}
    made = statement(
        name,
        now=venue.clock.now(),
        since=_number(request, "since", 0, 1 << 53),
        limit=_number(request, "limit", 1_000, _MAX_LISTED) or _MAX_LISTED,
        balances=engine.balances(name),
        fills=engine.fills(name),
        open_orders=len(engine.open_orders(name)),
        instruments=instruments,
        marks={s: book.bids[0].price if book.bids else None for s, book in books.items()},
    )
    return web.Response(text=made.model_dump_json(by_alias=True), content_type="application/json")


@routes.get("/accounts/{name}/orders")
async def show_open_orders(request: web.Request) -> web.Response:
    """Return the open orders of an account, oldest first."""
    venue, name = request.app[VENUE], _account(request)
    venue.advance()
    return _answer({"orders": [_order(order) for order in venue.engine.open_orders(name)]})


@routes.post("/accounts/{name}/deposits")
async def deposit(request: web.Request) -> web.Response:
    """Deposit or withdraw, and return the balances."""
    venue, name = request.app[VENUE], _account(request)
    try:
        wanted = Deposit.model_validate(await _body(request))
    except ValidationError as error:
        raise ControlError(422, *problems(error)) from error
    try:
        venue.credit(name, wanted.asset, wanted.amount)
    except RefusedError as error:
        raise ControlError(409, error.detail or error.reason) from error
    balances = venue.engine.balances(name).items()
    return _answer({a: {"free": f"{b.free:f}", "held": f"{b.held:f}"} for a, b in balances})


def _account(request: web.Request) -> str:
    name, known = request.match_info["name"], request.app[VENUE].accounts()
    if name not in known:
        raise ControlError(404, f"no account {name!r}; known: {', '.join(known) or 'none'}")
    return name


def _order(order: Order) -> dict[str, object]:
    request = order.request
    return {
        "id": order.id,
        "clientId": request.client_id,
        "symbol": request.symbol,
        "side": request.side,
        "type": request.type,
        "status": order.status,
        "price": None if request.price is None else f"{request.price:f}",
        "stopPrice": None if request.stop_price is None else f"{request.stop_price:f}",
        "quantity": f"{order.quantity:f}",
        "filled": f"{order.filled:f}",
        "created": order.created,
        "listId": order.list_id,
    }


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        raise ControlError(400, f"{name}: must be an integer from 0 to {most}")
    return min(int(text), most)


async def _body(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise ControlError(415, "the body must be JSON: Content-Type: application/json")
    try:
        return json.loads(await read_body(request))
    except (ValueError, RecursionError) as error:
        raise ControlError(400, "the body is not JSON") from error


def _fault(active: ActiveFault) -> dict[str, Any]:
    fault = active.fault.model_dump(mode="json", by_alias=True, exclude_none=True)
    shown: dict[str, Any] = {
        "id": active.id,
        "type": active.fault.type,
        **fault,
        "started": active.started,
        "hits": active.hits,
    }
    if active.ends is not None:
        shown["ends"] = active.ends
    if active.remaining is not None:
        shown["remaining"] = active.remaining
    return shown


def _answer(content: Any, *, status: int = 200) -> web.Response:
    return web.json_response(content, status=status)
