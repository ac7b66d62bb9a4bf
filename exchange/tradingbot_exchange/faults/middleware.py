"""Faults of requests, as a middleware around any dialect."""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from tradingbot_exchange.faults.errors import FAULT_ERRORS, FaultErrors, PlainErrors
from tradingbot_exchange.faults.model import (
    Ban,
    DoubleAnswer,
    DoubleRequest,
    DropRequest,
    Fault,
    LoseAnswer,
    RateLimit,
    Reject,
    ServerError,
)
from tradingbot_exchange.faults.requests import RequestFaults
from tradingbot_exchange.streams import cut_off


class FaultMiddleware:
    """Delays, refuses, loses or doubles what matches a fault. It must be the outermost one."""

    __middleware_version__ = 1
    """Tells aiohttp that this is a middleware of its present style."""

    def __init__(self, faults: RequestFaults) -> None:
        self._faults = faults

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request."""
        verdict = self._faults.verdict(f"{request.method} {request.path}")
        if verdict.delay:
            await asyncio.sleep(verdict.delay / 1000)
        if verdict.fault is None:
            return await handler(request)
        errors: FaultErrors = request.app.get(FAULT_ERRORS, PlainErrors())
        refusal = _refusal(verdict.fault, errors)
        if refusal is not None:
            if isinstance(verdict.fault, ServerError) and verdict.fault.executed:
                await _carried_out(request, handler)
            return refusal
        return await _mistreated(verdict.fault, request, handler)


def _refusal(fault: Fault, errors: FaultErrors) -> web.Response | None:
    match fault:
        case Reject():
            return errors.rejected(fault.reason)
        case ServerError():
            return errors.server_error(fault.status)
        case RateLimit():
            return errors.rate_limited(fault.retry_after)
        case Ban():
            return errors.banned(fault.retry_after)
    return None


async def _mistreated(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    if isinstance(fault, DropRequest):
        return _closed(request)
    if "Upgrade" in request.headers:
        return await handler(request)  # a stream: its answer is all that follows
    match fault:
        case LoseAnswer():
            await _carried_out(request, handler)
            return _closed(request)
        case DoubleRequest():
            first = await _carried_out(request, handler)
            await _carried_out(request, handler)
            return first
        case DoubleAnswer():
            return await _sent_twice(request, await _carried_out(request, handler))
    return await handler(request)


async def _carried_out(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return the handler's answer, an HTTP error included."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return error


def _closed(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    cut_off(request)
    return web.Response()


async def _sent_twice(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """Send an answer and then its bytes once more, as a second answer that nobody asked for."""
    if not isinstance(answer, web.Response) or request.transport is None:
        return answer
    body = answer.body if isinstance(answer.body, bytes) else b""
    await answer.prepare(request)
    await answer.write_eof()
    head = f"HTTP/1.1 {answer.status} {answer.reason}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    request.transport.write(head.encode() + b"\r\n" + body)
    return answer
