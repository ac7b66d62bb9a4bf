"""The JSON text of answers: orjson's, which takes a tenth of the time for a large page."""

import json
from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider


def json_text(value: Any) -> bytes:
    """Return the JSON text of a value.

    orjson has no integers beyond 64 bits; the `config` of an asset may have them.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


class JsonText(JSONProvider):
    """Flask's interface to `json_text`."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Return the text of a value."""
        return json_text(obj).decode()

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return the answer with this value, as a line."""
        value = self._prepare_response_obj(args, kwargs)
        return Response(json_text(value) + b"\n", content_type="application/json")

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Return the value of a text."""
        return json.loads(s)
