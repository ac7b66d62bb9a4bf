"""Cursors: where a page ends, as opaque text that is valid for the same query alone."""

import base64
import hashlib
import json
from typing import Any

from tradingbot_registry.refusals import Complaint, InvalidError

DIGEST_BYTES = 9
MAX_CURSOR = 4096
MAX_INTEGER = 2**63

Position = tuple[str | int, ...]


def encode(position: Position, query: Any) -> str:
    """Return the cursor of a position in the results of `query`, which has a stable `repr`."""
    # Not as ASCII: a name of emoji would take three times as much, and exceed MAX_CURSOR.
    text = json.dumps([_digest(query), *position], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, query: Any, kinds: tuple[type, ...]) -> Position:
    """Return the position, whose values have these types. Raises InvalidError."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise _invalid("Not a cursor of this registry.") from error
    if not isinstance(parts, list) or not parts or parts[0] != _digest(query):
        raise _invalid("Belongs to another query: keep filters and order while you page.")
    position = tuple(parts[1:])
    if tuple(type(value) for value in position) != kinds or not all(map(_storable, position)):
        raise _invalid("Not a cursor of this registry.")
    return position


def _storable(value: str | int) -> bool:
    if isinstance(value, int):
        return -MAX_INTEGER <= value < MAX_INTEGER
    # PostgreSQL takes no NUL.
    return "\0" not in value and value.encode(errors="replace").decode() == value


def _digest(query: Any) -> str:
    digest = hashlib.sha256(repr(query).encode()).digest()[:DIGEST_BYTES]
    return base64.urlsafe_b64encode(digest).decode()


def _invalid(message: str) -> InvalidError:
    return InvalidError([Complaint("cursor", message, in_query=True)])
