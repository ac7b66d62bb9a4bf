"""Answers of the API server before they are parsed: read within a limit, with their errors."""

from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from tradingbot_api.model import JsonObject

from tradingbot_operator.cluster.reading.object_reader import read_object

LONGEST_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer that are read. A longer page of a list is requested again in smaller pages. A
single object that is longer becomes a stub with its identity."""


class Answer(NamedTuple):
    """An answer, not parsed yet."""

    status: int
    text: bytes
    whole: bool
    """False for the beginning of an answer that is longer than `LONGEST_ANSWER`."""
    pause: float | None
    """Seconds after which the server asks for another try."""


async def beginning_of(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """Read an answer up to `LONGEST_ANSWER`. Return it, and whether that is all of it."""
    held = bytearray()
    async for chunk in response.content.iter_any():
        held += chunk
        if len(held) > LONGEST_ANSWER:
            response.close()
            return bytes(held[:LONGEST_ANSWER]), False
    return bytes(held), True


def refusal_of(text: bytes) -> JsonObject:
    """Return the Status of an error answer; of any other text the beginning, as a message."""
    found = read_object(text)
    return {"message": text[:200].decode(errors="replace")} if found is None else found


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return Retry-After in seconds; API servers do not send dates."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
