"""One question to a running bot: `GET /risk`. What comes back is trusted in nothing.

The image is somebody else's. It may answer with anything, slowly, or for ever; so the time and the
size of an answer are bounded, nothing is followed, nothing is kept, and no word of it is repeated.
"""

import asyncio
import errno
import os
from typing import Literal, Self

import aiohttp
from pydantic import ValidationError
from tradingbot_api.contract import MAX_REPORT_BYTES, RiskReport

from tradingbot_operator.bounded_resolver import BoundedResolver

Result = Literal["ok", "unreachable", "timeout", "http_error", "invalid"]

OK = 200
OURS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
"""Faults of the operator's own machine, which say nothing about the bot."""

KEEP = {"Accept": "application/json", "Accept-Encoding": "identity"}
CLOSE = {**KEEP, "Connection": "close"}
NO_LIMITS = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class NoReportError(Exception):
    """A poll brought no report; the text says why, in stable words and nothing of the answer.

    `silent` if the bot has not answered at all.
    """

    def __init__(self, result: Result, problem: str, *, silent: bool = False) -> None:
        super().__init__(problem)
        self.result = result
        self.silent = silent


class RiskClient:
    """Connections to many bots, one for each. `timeout` seconds bound a whole exchange; an idle
    connection is kept for `idle` seconds."""

    def __init__(self, *, timeout: float, idle: float) -> None:
        self._timeout = timeout
        self._idle = idle
        self._resolver: BoundedResolver | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._resolver = BoundedResolver()
        connector = aiohttp.TCPConnector(
            limit=0,  # the poller has its own
            keepalive_timeout=self._idle,
            use_dns_cache=False,
            resolver=self._resolver,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=NO_LIMITS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._resolver is not None:
            await self._resolver.close()
            self._resolver = None

    async def report(self, url: str, *, keep: bool) -> RiskReport:
        """The report; raises NoReportError. The connection stays open if `keep`."""
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._body(url, keep=keep)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _no_report(error, self._timeout) from error
        return parsed(body)

    async def _body(self, url: str, *, keep: bool) -> bytes:
        if self._session is None:
            raise RuntimeError("the client is not open")
        headers = KEEP if keep else CLOSE
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
            if response.status != OK:
                raise NoReportError("http_error", f"it answered with HTTP {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_REPORT_BYTES:
                    raise NoReportError(
                        "invalid", f"its report is longer than {MAX_REPORT_BYTES} bytes"
                    )
            return bytes(body)


def parsed(body: bytes) -> RiskReport:
    """The report that `body` is; NoReportError names the first field that is wrong."""
    try:
        return RiskReport.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if not first["loc"]:
        what = "JSON" if first["type"] == "json_invalid" else "a JSON object"
        raise NoReportError("invalid", f"its report is not {what}")
    field = first["loc"][0]
    how = "missing" if first["type"] == "missing" else "not of the form that the contract asks for"
    raise NoReportError("invalid", f"{field} of its report is {how}")


def _no_report(error: Exception, timeout: float) -> NoReportError:
    """What an exception of an exchange says."""
    match error:
        case TimeoutError():
            return NoReportError("timeout", f"no answer within {timeout:g} s", silent=True)
        case aiohttp.ClientConnectorDNSError():
            return NoReportError("unreachable", "its name can't be resolved", silent=True)
        case OSError(errno=number) if number in OURS:
            return NoReportError("unreachable", f"the operator is short: {os.strerror(number)}")
        case OSError(errno=int(number)):
            return NoReportError(
                "unreachable", f"no connection: {os.strerror(number)}", silent=True
            )
        case aiohttp.ClientResponseError():
            return NoReportError("http_error", "its answer is not HTTP")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return NoReportError("unreachable", "the connection broke", silent=True)
        case _:
            kind = type(error).__name__
            return NoReportError("unreachable", f"no connection ({kind})", silent=True)
