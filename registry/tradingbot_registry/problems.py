"""Everything that the registry refuses, each as an RFC 9457 problem.

The exceptions are raised where the refusal is decided and know nothing of Flask; `rest.errors`
turns them into responses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tradingbot_api.asset import ALLOWED_TRANSITIONS, AssetStatus


@dataclass(frozen=True, slots=True)
class Reference:
    """An asset as it is named in a problem or as a cause."""

    id: str
    name: str
    type: str
    status: str
    external_ref: str | None

    def as_json(self) -> dict[str, str | None]:
        """The asset as an object of the API."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "status": self.status,
            "externalRef": self.external_ref,
        }


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong with a request: where, as a JSON pointer or a parameter's name, and what."""

    where: str
    message: str
    in_query: bool = False

    def as_json(self) -> dict[str, str]:
        """The complaint as an item of `errors`."""
        place = "parameter" if self.in_query else "pointer"
        return {place: self.where, "detail": self.message}


def pointer(*steps: str | int) -> str:
    """A JSON pointer (RFC 6901); the empty one is the whole document."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


class ProblemError(Exception):
    """Base: an HTTP status, a stable `type`, a title, and a detail that says what to do."""

    status: ClassVar[int] = 500
    slug: ClassVar[str | None] = None
    title: ClassVar[str] = "Internal error"

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
    """The `type` of a problem: a name to compare, nothing to fetch."""
    return f"urn:tradingbot:problem:{slug}" if slug else "about:blank"


class DefectError(ProblemError):
    """A defect of the server. What it was stands in the log, under the request_id."""

    slug = "defect"

    def __init__(self) -> None:
        super().__init__("this is a defect; the server's log has more under the request_id")


class MalformedError(ProblemError):
    """The body is not JSON that can be read."""

    status = 400
    slug = "malformed"
    title = "Malformed request"


class UnauthenticatedError(ProblemError):
    """Nobody has logged in, or the token is not good."""

    status = 401
    slug = "unauthenticated"
    title = "Not logged in"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="registry"'})


class ForbiddenError(ProblemError):
    """The caller is known and may not do this."""

    status = 403
    slug = "forbidden"
    title = "Not allowed"


class AssetNotFoundError(ProblemError):
    """No asset has that id or external reference."""

    status = 404
    slug = "asset-not-found"
    title = "No such asset"


class TooLargeError(ProblemError):
    """The body is larger than any asset can be."""

    status = 413
    slug = "too-large"
    title = "Body too large"


class UnsupportedMediaTypeError(ProblemError):
    """The body is of another media type than the call takes."""

    status = 415
    slug = "unsupported-media-type"
    title = "Unsupported media type"


class MisdirectedError(ProblemError):
    """The request is for another host. Without login, only names of this machine are served."""

    status = 421
    slug = "misdirected"
    title = "Not this host"


class InvalidError(ProblemError):
    """The request can be read and breaks rules; all of them are named at once."""

    status = 422
    slug = "invalid"
    title = "Invalid request"

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        count = len(complaints)
        first = complaints[0]
        where = f"{first.where}: " if first.where else ""
        more = f" (and {count - 1} more, see errors)" if count > 1 else ""
        super().__init__(
            f"{where}{first.message}{more}",
            extensions={"errors": [complaint.as_json() for complaint in complaints]},
        )


class PreconditionFailedError(ProblemError):
    """The asset is no longer, or not yet, what the caller's condition says."""

    status = 412
    slug = "precondition-failed"
    title = "The asset has changed"


class CycleError(ProblemError):
    """The dependencies would form a cycle."""

    status = 409
    slug = "dependency-cycle"
    title = "Dependencies would form a cycle"

    def __init__(self, path: Sequence[Reference]) -> None:
        super().__init__(
            "an asset can't depend on itself, directly or not: "
            + " -> ".join(step.name for step in path),
            extensions={"cycle": [step.as_json() for step in path]},
        )


class DependentsError(ProblemError):
    """Other assets need the one that should go."""

    status = 409
    slug = "has-dependents"
    title = "Other assets depend on this one"

    def __init__(self, detail: str, blockers: Sequence[Reference]) -> None:
        super().__init__(
            f"{detail} {names(blockers)}",
            extensions={"blockers": [blocker.as_json() for blocker in blockers]},
        )


class TransitionError(ProblemError):
    """The lifecycle has no such step."""

    status = 409
    slug = "forbidden-transition"
    title = "The lifecycle forbids this step"

    def __init__(self, old: AssetStatus, new: AssetStatus) -> None:
        allowed = [status for status in AssetStatus if status in ALLOWED_TRANSITIONS[old]]
        super().__init__(
            f"an asset that is {old} can't become {new}; it may become {' or '.join(allowed)}",
            extensions={"from": old, "to": new, "allowed": allowed},
        )


class NotReadyError(ProblemError):
    """An asset can't be Active on dependencies that are missing or still Draft."""

    status = 409
    slug = "dependencies-not-ready"
    title = "Dependencies are not ready"

    def __init__(self, *, unresolved: Sequence[str], drafts: Sequence[Reference]) -> None:
        reasons = []
        if unresolved:
            reasons.append(f"not in the registry yet: {', '.join(unresolved)}")
        if drafts:
            reasons.append(f"still Draft: {names(drafts)}")
        super().__init__(
            f"an Active asset needs all its dependencies; {'; '.join(reasons)}",
            extensions={
                "unresolved": list(unresolved),
                "drafts": [draft.as_json() for draft in drafts],
            },
        )


class OwnerError(ProblemError):
    """The asset is kept by a controller, which would undo the change."""

    status = 409
    slug = "managed-asset"
    title = "The asset is managed by a controller"

    def __init__(self, detail: str, *, managed_by: str, external_ref: str | None) -> None:
        super().__init__(detail, extensions={"managedBy": managed_by, "externalRef": external_ref})


class UnavailableError(ProblemError):
    """Something that the registry needs is out of reach; the same request may work later."""

    status = 503
    slug = "unavailable"
    title = "Temporarily unavailable"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "5"})


class StorageError(ProblemError):
    """The database can't do its work. Nothing of the request was kept."""

    status = 503
    slug = "storage"
    title = "The database can't do this now"

    def __init__(self, reason: str, *, busy: bool = False) -> None:
        headers = {"Retry-After": "1"} if busy else {}
        super().__init__(
            f"nothing was changed, because the database can't do it: {reason}", headers=headers
        )
        self.reason = reason
        self.busy = busy


class StorageFullError(StorageError):
    """The disk is full. Nothing of the request was kept; reading still works."""

    status = 507
    slug = "storage-full"
    title = "The disk is full"

    def __init__(self) -> None:
        super().__init__("the disk is full; free some space")


NAMES_SHOWN = 10


def names(assets: Sequence[Reference]) -> str:
    """Names for a sentence; a long list is cut, the full one stands beside the sentence."""
    shown = ", ".join(asset.name for asset in assets[:NAMES_SHOWN])
    rest = len(assets) - NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown
