"""Which fault a request meets, whether it comes over HTTP or in a frame of a WebSocket."""

import logging
from collections.abc import Callable

from aiohttp import web

from tradingbot_exchange.faults.board import FaultBoard, Verdict

log = logging.getLogger(__name__)


class RequestFaults:
    """The faults of requests. `now` returns the exchange's time without skew."""

    def __init__(self, board: FaultBoard, now: Callable[[], int]) -> None:
        self._board = board
        self._now = now

    def verdict(self, operation: str) -> Verdict:
        """Return what happens to a request `METHOD PATH`; count and log it."""
        verdict = self._board.verdict(operation, now=self._now())
        if verdict.delay or verdict.fault is not None:
            kind = "latency" if verdict.fault is None else verdict.fault.type
            log.info("fault %s applies to %s", kind, operation)
        return verdict


REQUEST_FAULTS: web.AppKey[RequestFaults] = web.AppKey("request_faults", RequestFaults)
"""Set by the server, for a dialect with an API within a WebSocket. Without it there are none."""
