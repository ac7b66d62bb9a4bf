"""Convert all errors into `application/problem+json`, also Flask's own."""

import logging
from http import HTTPStatus
from urllib.parse import quote

import peewee
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from tradingbot_registry.refusals import RefusedError, StorageError
from tradingbot_registry.rest.problems import MEDIA_TYPE, DefectError, HTTPError, problem
from tradingbot_registry.storage.database import storage_error

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """Register the error handlers of `app`."""
    app.register_error_handler(RefusedError, _refused)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(peewee.PeeweeException, _database)
    app.register_error_handler(Exception, _unexpected)


def _refused(error: RefusedError) -> Response:
    if problem(error).kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        cause = {"cause": error.cause} if isinstance(error, StorageError) and error.cause else {}
        log.error(error.detail, extra={"request_id": g.request_id, **cause})
    return _answer(error)


def _answer(error: RefusedError) -> Response:
    answer = problem(error)
    return Response(
        answer.document(instance=quote(request.path), request_id=g.request_id),
        status=answer.kind.status,
        headers=dict(answer.headers),
        content_type=MEDIA_TYPE,
    )


def _http(error: HTTPException) -> Response:
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    return _answer(HTTPError(HTTPStatus(status), _detail(error), headers=headers))


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
