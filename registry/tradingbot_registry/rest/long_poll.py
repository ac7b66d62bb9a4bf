"""Requests that wait for a change, without a thread.

A view that has nothing to answer yet asks for time; the server drops the answer, waits, and lets
the application answer again. Under another server, the first answer is sent.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

KEY = "tradingbot_registry.long_poll"


@dataclass
class LongPoll:
    """What the server offers to a request, and what the request asks for."""

    seconds: int = 0


def wait_for_change(environ: MutableMapping[str, Any], seconds: int) -> None:
    """Ask the server to answer this request again after a change, or after so many seconds."""
    offered = environ.get(KEY)
    if isinstance(offered, LongPoll):
        offered.seconds = seconds


def will_be_answered_again(environ: MutableMapping[str, Any]) -> bool:
    """Whether the answer to this request is dropped."""
    offered = environ.get(KEY)
    return isinstance(offered, LongPoll) and offered.seconds > 0
