"""`Idempotency-Key`: a POST that may be repeated."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from flask import Request, Response, current_app, g

from tradingbot_registry.inventory.receipts import Repeatable
from tradingbot_registry.rest.problems import MalformedError
from tradingbot_registry.rest.request_context import writes

HEADER = "Idempotency-Key"
IDEMPOTENCY_KEY = {
    "name": HEADER,
    "in": "header",
    "description": "A text of your own, such as a UUID. If the request is repeated with it within"
    " 24 hours, it is not carried out again: the answer is the first one, with the header"
    " `Idempotent-Replayed: true`, or 409 if that is no longer kept.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "example": "5f0c2f0e-8a55-4d0f-9d2e-3c8f6a1e2b10",
}
REPLAYED = {
    "Idempotent-Replayed": {
        "description": "`true` if this is the answer to an earlier request with the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}

_KEY = re.compile("[!-~]{1,255}")


def answered(
    request: Request,
    status: int,
    carry_out: Callable[[], tuple[Any, Mapping[str, str]]],
) -> Response:
    """Return the answer of `carry_out`, its JSON and headers, or the first one to this key."""
    asked = _repeatable(request)
    if asked is None:
        body, headers = carry_out()
        replayed = False
    else:
        (body, headers), replayed = writes().once(asked, lambda: _as_list(carry_out()))
    response = cast("Response", current_app.json.response(body))
    response.status_code = status
    response.headers.update(headers)
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _as_list(answer: tuple[Any, Mapping[str, str]]) -> list[Any]:
    body, headers = answer
    return [body, dict(headers)]


def _repeatable(request: Request) -> Repeatable | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if _KEY.fullmatch(key) is None:
        raise MalformedError(f"{HEADER} must be 1 to 255 visible ASCII characters")
    asked = b"\n".join((request.method.encode(), request.full_path.encode(), request.get_data()))
    return Repeatable(key, g.actor, hashlib.sha256(asked).hexdigest())
