"""The registry's OpenAPI document, held against what the operator sends and is answered."""

import re
from collections.abc import Iterator
from typing import Any

from flask import Flask, Request, Response, request
from openapi_schema_validator import OAS31Validator


class Contract:
    """Checks each request of the operator's client, and its answer, against the document."""

    def __init__(self, app: Flask) -> None:
        self.violations: list[str] = []
        self.checked: set[tuple[str, str, int]] = set()
        """Method, path of the document, and status."""
        self._document: Any = None
        app.after_request(self._check)
        self._document = app.test_client().get("/api/v1/openapi.json").json

    def _check(self, response: Response) -> Response:
        if "aiohttp" in request.headers.get("User-Agent", ""):
            self.violations += self._found(request, response)
        return response

    def _found(self, request: Request, response: Response) -> Iterator[str]:
        rule = request.url_rule.rule if request.url_rule else request.path
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)
        where = f"{request.method} {path}"
        item = self._document["paths"].get(path, {})
        operation = item.get(request.method.lower())
        if operation is None:
            yield f"{where} is not in the document"
            return
        self.checked.add((request.method, path, response.status_code))
        parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
        schemas = {(found["in"], found["name"]): found["schema"] for found in parameters}
        given = [("path", name, str(value)) for name, value in (request.view_args or {}).items()]
        given += [("query", *pair) for pair in request.args.items(multi=True)]
        for place, name, text in given:
            schema = schemas.get((place, name), False)
            yield from self._errors(f"{where} {name}", schema, typed(schema, text))
        if request.get_data():
            content = operation["requestBody"]["content"].get(request.mimetype)
            schema = content["schema"] if content else False
            yield from self._errors(f"{where} body", schema, request.json)
        answer = operation["responses"].get(str(response.status_code))
        if answer is None:
            yield f"{where} answers {response.status_code}, which is not in the document"
        elif response.get_data():
            content = answer.get("content", {}).get(response.mimetype)
            schema = content["schema"] if content else False
            label = f"{where} answer {response.status_code}"
            yield from self._errors(label, schema, response.json)

    def _errors(self, label: str, schema: Any, value: Any) -> Iterator[str]:
        if schema is False:
            yield f"{label} is not in the document"
            return
        whole = {**schema, "components": self._document["components"]}
        for error in OAS31Validator(whole).iter_errors(value):
            yield f"{label}: {error.json_path}: {error.message[:300]}"


def typed(schema: Any, text: str) -> Any:
    """Return the value of a parameter that this text stands for."""
    match schema and schema.get("type"):
        case "array":
            return [text]
        case "boolean":
            return {"true": True, "false": False}.get(text, text)
        case "integer":
            return int(text) if text.isdecimal() else text
    return text
