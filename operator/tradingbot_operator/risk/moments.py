"""Asks a bot's gateway what time it is on its node: `GET /moment`, beside its risk report.

What answers is in a tenant's pod, so the answer has the same limits as a report. A moment that the
gateway has not named itself gives nobody a right: the gateway compares it with the clock of its
node.
"""

import asyncio
from urllib.parse import urlsplit

from pydantic import ValidationError
from tradingbot_api.entry_grant import MOMENT_PATH, GatewayMoment

from tradingbot_operator.risk.answer import NoReportError
from tradingbot_operator.risk.client import HTTP_PORT
from tradingbot_operator.risk.connection import ConnectionBrokenError, RiskConnection


class NoMomentError(Exception):
    """The gateway has not said a moment."""


async def ask_moment(report_url: str, *, within: float) -> GatewayMoment:
    """Return the moment of the gateway whose reports are at `report_url`. Raises NoMomentError."""
    parts = urlsplit(report_url)
    path = parts.path.rsplit("/", 1)[0] + MOMENT_PATH
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Accept: application/json",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    request = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
    try:
        async with asyncio.timeout(within):
            connection = await RiskConnection.open(parts.hostname or "", parts.port or HTTP_PORT)
            try:
                body = await connection.exchange(request)
            finally:
                connection.close()
        return GatewayMoment.model_validate_json(body)
    except TimeoutError as error:
        raise NoMomentError(f"no answer within {within:g} s") from error
    except NoReportError as error:
        raise NoMomentError(str(error)) from error
    except ValidationError as error:
        raise NoMomentError("its answer is not a moment") from error
    except (OSError, ConnectionBrokenError) as error:
        raise NoMomentError(f"no connection ({type(error).__name__})") from error
