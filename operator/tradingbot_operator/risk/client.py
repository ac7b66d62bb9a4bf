"""Polls one bot: `GET /risk`. Nothing in the answer is trusted.

The image of a bot belongs to a tenant. Its answer is limited in time, size and work; redirects and
cookies are ignored, and no text of the answer is repeated in logs or the status, except the one
short sentence of a `GatewayNotice`. The address is
that of the bot's own pod, which the caller knows from the API server. No name is looked up: a
tenant may control what it resolves to.
"""

import asyncio
import errno
import ipaddress
import os
from typing import Protocol
from urllib.parse import quote, urlsplit

from tradingbot_api.contract import RiskReport
from tradingbot_api.gateway_state import GatewayNotice
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator.risk.answer import NoReportError, parsed
from tradingbot_operator.risk.connection import (
    SLOW_READS,
    UNASKED,
    ConnectionBrokenError,
    RiskConnection,
)

OWN_FAULTS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
"""Errors of the operator's own machine, which are not the bot's fault."""

HTTP_PORT = 80


def report_url(template: str, key: NamespacedName, address: str) -> str:
    """Return the URL of a bot's reports; empty if it needs an address and there is none."""
    namespace, name = (quote(part, safe="") for part in key)
    url = template.replace("{namespace}", namespace).replace("{name}", name)
    if "{ip}" not in url:
        return url
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address):
        # A zone names a network interface, which would be looked up on the node.
        return "" if ip.scope_id else url.replace("{ip}", f"[{ip}]")
    return url.replace("{ip}", str(ip))


class Peer(Protocol):
    """A bot that can be polled."""

    notice: GatewayNotice | None
    """What its gateway said of itself in the last answer; None without an answer or a gateway."""

    async def report(self, *, keep: bool) -> RiskReport:
        """Return the bot's report, keeping the connection open if `keep`. Raises NoReportError."""

    def close(self) -> None:
        """Close the connection, if one is open."""


class RiskPeer:
    """The bot at `url`, an http URL with a literal address. An exchange takes `timeout` seconds.

    The connection is not shared, so an answer is never mistaken for that of another bot.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        parts = urlsplit(url)
        self._address, self._port = parts.hostname or "", parts.port or HTTP_PORT
        self._timeout = timeout
        lines = (
            f"GET {parts.path or '/'} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Accept: application/json",
            "Accept-Encoding: identity",
        )
        head = "\r\n".join(lines).encode("ascii")
        self._requests = {True: head + b"\r\n\r\n", False: head + b"\r\nConnection: close\r\n\r\n"}
        self._connection: RiskConnection | None = None
        self.notice: GatewayNotice | None = None

    async def report(self, *, keep: bool) -> RiskReport:
        """Return the bot's report, keeping the connection open if `keep`. Raises NoReportError."""
        self.notice = None
        try:
            async with asyncio.timeout(self._timeout):
                report = parsed(await self._ask(self._requests[keep]))
        except (OSError, ConnectionBrokenError) as error:
            reads = self._connection.reads if self._connection is not None else 0
            self.close()
            raise _no_report(error, self._timeout, reads=reads) from error
        except BaseException:
            self._note()
            self.close()
            raise
        self._note()
        if not keep or self._connection is None or not self._connection.keeps_open:
            self.close()
        return report

    def _note(self) -> None:
        self.notice = None if self._connection is None else self._connection.notice

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _ask(self, request: bytes) -> bytes:
        kept, self._connection = self._connection, None
        if kept is not None:
            fresh = kept.is_fresh()
            if kept.intruded:
                raise NoReportError("excessive", UNASKED)
            if fresh:
                try:
                    self._connection = kept
                    return await kept.exchange(request)
                except ConnectionBrokenError as error:
                    self._connection = None
                    if not error.unused:
                        raise
                    # The bot closed it while the request was on its way: try a new connection.
        self._connection = await RiskConnection.open(self._address, self._port)
        return await self._connection.exchange(request)


def _no_report(error: Exception, timeout: float, *, reads: int) -> NoReportError:
    """Translate the exception of an exchange in which `reads` pieces of the answer arrived."""
    match error:
        case TimeoutError() if reads > SLOW_READS:
            return NoReportError("excessive", f"its answer does not end within {timeout:g} s")
        case TimeoutError():
            return NoReportError("timeout", f"no answer within {timeout:g} s", silent=True)
        case ConnectionBrokenError() | ConnectionResetError() | BrokenPipeError():
            return NoReportError("unreachable", "the connection broke", silent=True)
        case OSError(errno=number) if number in OWN_FAULTS:
            return NoReportError(
                "unreachable", f"the operator is short of resources: {os.strerror(number)}"
            )
        case OSError(errno=int(number)):
            return NoReportError(
                "unreachable", f"no connection: {os.strerror(number)}", silent=True
            )
        case _:
            kind = type(error).__name__
            return NoReportError("unreachable", f"no connection ({kind})", silent=True)
