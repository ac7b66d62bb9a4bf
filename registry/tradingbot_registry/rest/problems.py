"""From the errors of the registry to problems (RFC 9457). This is the only place that maps them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from tradingbot_registry.refusals import (
    AnswerGoneError,
    AssetNotFoundError,
    CycleError,
    DependentsError,
    ForbiddenError,
    HistoryGoneError,
    InvalidError,
    KeyReusedError,
    NotReadyError,
    OutcomeUnknownError,
    OwnerError,
    PreconditionFailedError,
    RefusedError,
    StorageError,
    StorageFullError,
    TransitionError,
    UnauthenticatedError,
    UnavailableError,
)

MEDIA_TYPE = "application/problem+json"


class DefectError(RefusedError):
    """A defect of the server. The log has details under the request_id."""

    def __init__(self) -> None:
        super().__init__("internal error; the server's log has details under the request_id")


class MalformedError(RefusedError):
    """The request is not valid HTTP, or its body not valid JSON."""


class TooLargeError(RefusedError):
    """The body exceeds the limit."""


class UnsupportedMediaTypeError(RefusedError):
    """The body has another media type than the operation accepts."""

    def __init__(self, detail: str, *, accept_patch: str | None = None) -> None:
        super().__init__(detail)
        self.accept_patch = accept_patch


class MisdirectedError(RefusedError):
    """The request is for another host. Without authentication, only names of this machine are
    served.
    """


class HTTPError(RefusedError):
    """An error that its HTTP status says all of."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: an HTTP status, the stable name of its type, and a title."""

    status: int
    slug: str | None
    title: str

    @property
    def type(self) -> str:
        """The `type` of the problem: a name to compare, not a URL to fetch."""
        return f"urn:tradingbot:problem:{self.slug}" if self.slug else "about:blank"


KINDS: Mapping[type[RefusedError], Kind] = {
    AssetNotFoundError: Kind(404, "asset-not-found", "No such asset"),
    HistoryGoneError: Kind(410, "history-gone", "The history does not reach back so far"),
    InvalidError: Kind(422, "invalid", "Invalid request"),
    PreconditionFailedError: Kind(412, "precondition-failed", "The asset has changed"),
    KeyReusedError: Kind(422, "idempotency-key-reused", "The key belongs to another request"),
    AnswerGoneError: Kind(409, "answer-not-kept", "The first answer is no longer kept"),
    CycleError: Kind(409, "dependency-cycle", "Dependencies would form a cycle"),
    DependentsError: Kind(409, "has-dependents", "Other assets depend on this one"),
    TransitionError: Kind(
        409, "forbidden-transition", "The lifecycle does not allow this transition"
    ),
    NotReadyError: Kind(409, "dependencies-not-ready", "Dependencies are not ready"),
    OwnerError: Kind(409, "managed-asset", "The asset is managed by a controller"),
    UnauthenticatedError: Kind(401, "unauthenticated", "Not authenticated"),
    ForbiddenError: Kind(403, "forbidden", "Not allowed"),
    UnavailableError: Kind(503, "unavailable", "Temporarily unavailable"),
    StorageError: Kind(503, "storage", "The database can't do this now"),
    OutcomeUnknownError: Kind(503, "outcome-unknown", "The change may have been stored"),
    StorageFullError: Kind(507, "storage-full", "The disk is full"),
    DefectError: Kind(500, "defect", "Internal error"),
    MalformedError: Kind(400, "malformed", "Malformed request"),
    TooLargeError: Kind(413, "too-large", "Body too large"),
    UnsupportedMediaTypeError: Kind(415, "unsupported-media-type", "Unsupported media type"),
    MisdirectedError: Kind(421, "misdirected", "Not this host"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem as it is answered."""

    kind: Kind
    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self, *, instance: str, request_id: str) -> bytes:
        """Return the problem details document."""
        members = {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "instance": instance,
            "request_id": request_id,
            **self.members,
        }
        return json.dumps(members).encode() + b"\n"


def problem(error: RefusedError) -> Problem:
    """Return the problem for an error."""
    if isinstance(error, HTTPError):
        kind = Kind(int(error.status), None, error.status.phrase)
    else:
        kind = KINDS[type(error)]
    return Problem(kind, error.detail, error.members, _headers(error))


def _headers(error: RefusedError) -> Mapping[str, str]:
    match error:
        case HTTPError():
            return error.headers
        case UnauthenticatedError():
            return {"WWW-Authenticate": 'Bearer realm="registry"'}
        case UnsupportedMediaTypeError(accept_patch=str(media_type)):
            return {"Accept-Patch": media_type}
        case UnavailableError():
            return {"Retry-After": "5"}
        case OutcomeUnknownError():
            return {"Retry-After": "1"}
        case StorageError(busy=True):
            return {"Retry-After": "1"}
    return {}
