"""Convert all errors into `application/problem+json`, also Flask's own."""

import json
import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import peewee
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from tradingbot_registry.problems import DefectError, ProblemError, problem_type
from tradingbot_registry.rest.blueprint import PROBLEM
from tradingbot_registry.storage.database import storage_error

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """Register the error handlers of `app`."""
    app.register_error_handler(ProblemError, _refused)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(peewee.PeeweeException, _database)
    app.register_error_handler(Exception, _unexpected)


def _refused(error: ProblemError) -> Response:
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error(error.detail, extra={"request_id": g.request_id})
    return _answer(error)


def _answer(error: ProblemError) -> Response:
    return problem(
        status=error.status,
        kind=error.slug,
        title=error.title,
        detail=error.detail,
        headers=error.headers,
        extensions=error.extensions,
    )


def _http(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return problem(
        status=status, title=HTTPStatus(status).phrase, detail=_detail(error), headers=headers
    )


def _detail(error: HTTPException) -> str:
    match error:
        case MethodNotAllowed():
            allowed = ", ".join(sorted(error.valid_methods or ()))
            return f"{request.method} is not allowed here; allowed: {allowed}"
        case _ if error.code == HTTPStatus.NOT_FOUND:
            return "there is nothing at this path (an asset's id is a UUID); see /api/v1/docs"
    return error.description or ""


def _database(error: peewee.PeeweeException) -> Response:
    known = storage_error(error)
    return _refused(known) if known else _unexpected(error)


def _unexpected(error: Exception) -> Response:
    log.error(
        "request failed", exc_info=error, extra={"request_id": g.request_id, "path": request.path}
    )
    return _answer(DefectError())


def problem(
    *,
    status: int,
    title: str,
    detail: str,
    kind: str | None = None,
    headers: dict[str, str] | None = None,
    extensions: dict[str, Any] | None = None,
) -> Response:
    """Return a problem details response (RFC 9457)."""
    document = {
        "type": problem_type(kind),
        "title": title,
        "status": status,
        "detail": detail,
        "instance": quote(request.path),
        "request_id": g.request_id,
        **(extensions or {}),
    }
    return Response(
        json.dumps(document) + "\n",
        status=status,
        headers=headers,
        content_type=PROBLEM,
    )
