"""Parse bodies, strictly, and query parameters."""

import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NoReturn

import marshmallow as ma
from flask import Request
from marshmallow import fields
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge

from tradingbot_registry.refusals import Complaint, InvalidError, pointer
from tradingbot_registry.rest.problems import (
    MalformedError,
    TooLargeError,
    UnsupportedMediaTypeError,
)

MAX_BODY = 1024 * 1024
MAX_DEPTH = 64
"""Nesting that a body may have. Deeper JSON exists only to exhaust a parser's stack."""

NUL_REFUSED = "May not contain the character NUL (U+0000)."
"""Not every database can store it, and others cut a text there."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


def read_json(request: Request, media_type: str) -> Any:
    """Return the JSON value of the body.

    Raises UnsupportedMediaTypeError unless the body has the type `media_type`, and MalformedError
    for what RFC 8259 or a database can't represent: duplicate keys, NaN, lone surrogates.
    """
    if request.mimetype != media_type:
        raise UnsupportedMediaTypeError(
            f"this call takes Content-Type: {media_type}, not {request.mimetype or 'nothing'}",
            accept_patch=media_type if request.method == "PATCH" else None,
        )
    try:
        body = request.get_data()
    except RequestEntityTooLarge as error:
        raise TooLargeError(_TOO_LARGE) from error
    if len(body) > MAX_BODY:
        raise TooLargeError(_TOO_LARGE)
    try:
        text = body.decode()
        value = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        # A lone surrogate is legal as an escape in JSON and can't be stored as UTF-8.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise MalformedError("the body is not valid UTF-8 text") from error
    except RecursionError as error:
        raise MalformedError(_TOO_DEEP) from error
    except ValueError as error:
        raise MalformedError(f"the body is not valid JSON: {error}") from error
    if _depth_exceeds(value, MAX_DEPTH):
        raise MalformedError(_TOO_DEEP)
    return value


_TOO_LARGE = f"the body is over {MAX_BODY} bytes"
_TOO_DEEP = f"the body is nested more than {MAX_DEPTH} deep"


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with `patch` applied (RFC 7396). Neither is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def complaints(messages: Any, *steps: str | int, in_query: bool = False) -> Iterator[Complaint]:
    """Flatten marshmallow's tree of messages, in its order."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            # `_schema` and None hold messages about the value as a whole.
            here = steps if key is None or key == ma.exceptions.SCHEMA else (*steps, key)
            yield from complaints(inner, *here, in_query=in_query)
        return
    where = str(steps[0]) if in_query and steps else pointer(*steps)
    for message in messages if isinstance(messages, list) else [messages]:
        yield Complaint(where, str(message), in_query=in_query)


def messages_of(error: ma.ValidationError) -> Mapping[str, Any]:
    """Return the tree of messages of an error."""
    messages: Mapping[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
    return messages


KEPT_QUERIES = 1000
"""Queries whose parameters are kept, since clients repeat them."""
MAX_KEPT_QUERY = 1000
"""Bytes of a query that is kept."""


class ProblemParser(FlaskParser):
    """webargs' parser with this API's rules for the query, and its errors."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"query": ma.RAISE}  # noqa: RUF012

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._known_query = lru_cache(KEPT_QUERIES)(self._read_query)

    def parse(self, argmap: Any, req: Any = None, *, location: Any = None, **options: Any) -> Any:
        """Return the validated values. Those of a query depend on its text alone."""
        if location != "query":
            return super().parse(argmap, req, location=location, **options)
        text = self.get_default_request().query_string
        read = self._known_query if len(text) <= MAX_KEPT_QUERY else self._read_query
        values = read(argmap, text)
        return dict(values) if isinstance(values, dict) else values

    def _read_query(self, schema: ma.Schema, _: bytes) -> Any:
        return super().parse(schema, location="query")

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:
        """Return the query, refusing a parameter for one value that is there twice, and NUL."""
        several = {name for name, field in schema.fields.items() if isinstance(field, fields.List)}
        found = [
            Complaint(name, "Given more than once.", in_query=True)
            for name, values in req.args.lists()
            if len(values) > 1 and name in schema.fields and name not in several
        ]
        found += [
            Complaint(name, NUL_REFUSED, in_query=True)
            for name, values in req.args.lists()
            if any("\0" in value for value in values)
        ]
        if found:
            raise InvalidError(found)
        return super().load_querystring(req, schema)

    def handle_error(
        self,
        error: ma.ValidationError,
        req: Request,  # noqa: ARG002
        schema: ma.Schema,  # noqa: ARG002
        *,
        error_status_code: int | None,  # noqa: ARG002
        error_headers: Mapping[str, str] | None,  # noqa: ARG002
    ) -> NoReturn:
        """Raise all errors as one InvalidError."""
        found: list[Complaint] = []
        for location, messages in messages_of(error).items():
            found += complaints(messages, in_query=location == "query")
        raise InvalidError(found) from error
