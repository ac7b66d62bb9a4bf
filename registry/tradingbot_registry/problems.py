"""All errors that the registry returns, each as an RFC 9457 problem.

The exceptions do not know Flask; `rest.errors` converts them into responses.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from tradingbot_api.asset import ALLOWED_TRANSITIONS, AssetStatus

PROBLEM = "application/problem+json"
"""The media type of a problem."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An asset as problems and causes refer to it."""

    id: str
    name: str
    type: str
    status: str
    external_ref: str | None

    def as_json(self) -> dict[str, str | None]:
        """Return the reference as a JSON object."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "status": self.status,
            "externalRef": self.external_ref,
        }


@dataclass(frozen=True, slots=True)
class Complaint:
    """One error of a request: a location (JSON pointer or name of a parameter) and a text."""

    where: str
    message: str
    in_query: bool = False

    def as_json(self) -> dict[str, str]:
        """Return the error as an item of `errors`."""
        place = "parameter" if self.in_query else "pointer"
        return {place: self.where, "detail": self.message}


def pointer(*steps: str | int) -> str:
    """Return a JSON pointer (RFC 6901); the empty one is the whole document."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


class ProblemError(Exception):
    """Base: an HTTP status, a stable `type`, a title, and a detail that says what to do."""

    status: int = 500
    slug: str | None = None
    title: str = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = dict(extensions or {})


def problem_type(slug: str | None) -> str:
    """Return the `type` of a problem: a name to compare, not a URL to fetch."""
    return f"urn:tradingbot:problem:{slug}" if slug else "about:blank"


def document(error: ProblemError, *, instance: str, request_id: str) -> bytes:
    """Return the problem details document of an error (RFC 9457)."""
    members = {
        "type": problem_type(error.slug),
        "title": error.title,
        "status": int(error.status),
        "detail": error.detail,
        "instance": instance,
        "request_id": request_id,
        **error.extensions,
    }
    return json.dumps(members).encode() + b"\n"


class HTTPProblemError(ProblemError):
    """An error that its HTTP status says all of."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail, headers=headers)
        self.status = status
        self.title = status.phrase


class DefectError(ProblemError):
    """A defect of the server. The log has details under the request_id."""

    slug = "defect"

    def __init__(self) -> None:
        super().__init__("internal error; the server's log has details under the request_id")


class MalformedError(ProblemError):
    """The body is not valid JSON."""

    status = 400
    slug = "malformed"
    title = "Malformed request"


class UnauthenticatedError(ProblemError):
    """There is no token, or the token is not valid."""

    status = 401
    slug = "unauthenticated"
    title = "Not authenticated"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="registry"'})


class ForbiddenError(ProblemError):
    """The caller lacks a permission."""

    status = 403
    slug = "forbidden"
    title = "Not allowed"


class AssetNotFoundError(ProblemError):
    """No asset has that id or external reference."""

    status = 404
    slug = "asset-not-found"
    title = "No such asset"


class TooLargeError(ProblemError):
    """The body exceeds the limit."""

    status = 413
    slug = "too-large"
    title = "Body too large"


class UnsupportedMediaTypeError(ProblemError):
    """The body has another media type than the operation accepts."""

    status = 415
    slug = "unsupported-media-type"
    title = "Unsupported media type"


class MisdirectedError(ProblemError):
    """The request is for another host. Without authentication, only names of this machine are
    served.
    """

    status = 421
    slug = "misdirected"
    title = "Not this host"


MAX_ERRORS = 100
"""Mistakes that are listed: a body of 1 MiB can hold a quarter of a million."""


class InvalidError(ProblemError):
    """The request is well-formed and not valid; all errors are listed at once."""

    status = 422
    slug = "invalid"
    title = "Invalid request"

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        count = len(complaints)
        first = complaints[0]
        where = f"{first.where}: " if first.where else ""
        more = f" (and {count - 1} more, see errors)" if count > 1 else ""
        listed = [complaint.as_json() for complaint in complaints[:MAX_ERRORS]]
        super().__init__(f"{where}{first.message}{more}", extensions={"errors": listed})


class PreconditionFailedError(ProblemError):
    """The precondition of the request does not hold."""

    status = 412
    slug = "precondition-failed"
    title = "The asset has changed"


class CycleError(ProblemError):
    """The dependencies would form a cycle."""

    status = 409
    slug = "dependency-cycle"
    title = "Dependencies would form a cycle"

    def __init__(self, path: Sequence[Reference], length: int) -> None:
        # By reference: assets of several owners may have the same name.
        steps = [step.external_ref or step.name for step in path]
        if length >= NAMES_SHOWN:
            steps = [*steps[:NAMES_SHOWN], f"{length - NAMES_SHOWN} more", steps[0]]
        super().__init__(
            f"an asset can't depend on itself, directly or not: {' -> '.join(steps)}",
            extensions={"cycle": [step.as_json() for step in path], "length": length},
        )


class DependentsError(ProblemError):
    """Other assets depend on the asset."""

    status = 409
    slug = "has-dependents"
    title = "Other assets depend on this one"

    def __init__(self, detail: str, blockers: Sequence[Reference], total: int) -> None:
        super().__init__(
            f"{detail} {names(blockers, total)}",
            extensions={"blockers": [blocker.as_json() for blocker in blockers], "total": total},
        )


class TransitionError(ProblemError):
    """The lifecycle does not allow the transition."""

    status = 409
    slug = "forbidden-transition"
    title = "The lifecycle does not allow this transition"

    def __init__(self, old: AssetStatus, new: AssetStatus) -> None:
        allowed = [status for status in AssetStatus if status in ALLOWED_TRANSITIONS[old]]
        super().__init__(
            f"an asset that is {old} can't become {new}; it may become {' or '.join(allowed)}",
            extensions={"from": old, "to": new, "allowed": allowed},
        )


class NotReadyError(ProblemError):
    """An asset can't be Active while dependencies are missing or in Draft."""

    status = 409
    slug = "dependencies-not-ready"
    title = "Dependencies are not ready"

    def __init__(
        self, *, unresolved: Sequence[str], drafts: Sequence[Reference], total: int
    ) -> None:
        reasons = []
        if unresolved:
            reasons.append(f"not in the registry yet: {_joined(unresolved, len(unresolved))}")
        if drafts:
            reasons.append(f"still Draft: {names(drafts, total)}")
        super().__init__(
            f"an Active asset needs all its dependencies; {'; '.join(reasons)}",
            extensions={
                "unresolved": list(unresolved),
                "drafts": [draft.as_json() for draft in drafts],
            },
        )


class OwnerError(ProblemError):
    """A controller manages the asset and would revert the change."""

    status = 409
    slug = "managed-asset"
    title = "The asset is managed by a controller"

    def __init__(self, detail: str, *, managed_by: str, external_ref: str | None) -> None:
        super().__init__(detail, extensions={"managedBy": managed_by, "externalRef": external_ref})


class UnavailableError(ProblemError):
    """Something that the registry needs can't be reached. The same request may succeed later."""

    status = 503
    slug = "unavailable"
    title = "Temporarily unavailable"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "5"})


class StorageError(ProblemError):
    """The database failed. Nothing of the request was stored."""

    status = 503
    slug = "storage"
    title = "The database can't do this now"

    def __init__(self, reason: str, *, busy: bool = False) -> None:
        headers = {"Retry-After": "1"} if busy else {}
        super().__init__(
            f"nothing was changed: the database can't write: {reason}", headers=headers
        )
        self.reason = reason
        self.busy = busy


class StorageFullError(StorageError):
    """The disk is full. Nothing of the request was stored; reads still work."""

    status = 507
    slug = "storage-full"
    title = "The disk is full"

    def __init__(self) -> None:
        super().__init__("the disk is full; free some space")


NAMES_SHOWN = 10


def names(assets: Sequence[Reference], total: int) -> str:
    """Join names for a sentence. A long list is cut; the problem has more of it."""
    return _joined([asset.name for asset in assets[:NAMES_SHOWN]], total)


def _joined(texts: Sequence[str], total: int) -> str:
    shown = ", ".join(texts[:NAMES_SHOWN])
    rest = total - NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown
