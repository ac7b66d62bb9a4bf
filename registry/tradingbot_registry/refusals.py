"""Why the registry refuses a request. Nothing here knows HTTP; `rest.problems` maps it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tradingbot_api.asset import ALLOWED_TRANSITIONS, AssetStatus


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


class RefusedError(Exception):
    """Base: a detail that says what to do, and facts for programs as JSON values."""

    def __init__(self, detail: str, *, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = dict(members or {})


class AssetNotFoundError(RefusedError):
    """No asset has that id or external reference."""


MAX_ERRORS = 100
"""Mistakes that are listed: a body of 1 MiB can hold a quarter of a million."""


class InvalidError(RefusedError):
    """The request is well-formed and not valid; all errors are listed at once."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        self.complaints = tuple(complaints)
        count = len(complaints)
        first = complaints[0]
        where = f"{first.where}: " if first.where else ""
        more = f" (and {count - 1} more, see errors)" if count > 1 else ""
        listed = [complaint.as_json() for complaint in complaints[:MAX_ERRORS]]
        super().__init__(f"{where}{first.message}{more}", members={"errors": listed})


class HistoryGoneError(RefusedError):
    """Changes that came after `since` are no longer kept."""

    def __init__(self, oldest: int) -> None:
        super().__init__(
            "changes that came after `since` are no longer kept: ask without `since` for the"
            " current number, list the assets again, and follow from that number; the oldest"
            f" changes that are kept come after {oldest}",
            members={"oldest": oldest},
        )


class PreconditionFailedError(RefusedError):
    """The precondition of the request does not hold."""


class KeyReusedError(RefusedError):
    """The idempotency key was used for another request."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request: take a new one")


class AnswerGoneError(RefusedError):
    """The request was carried out before, under its key, and its answer is no longer kept."""

    def __init__(self) -> None:
        super().__init__(
            "this request was carried out before, and its answer is no longer kept: read the"
            " assets, and take a new Idempotency-Key only to carry it out again"
        )


class CycleError(RefusedError):
    """The dependencies would form a cycle."""

    def __init__(self, path: Sequence[Reference], length: int) -> None:
        # By reference: assets of several owners may have the same name.
        steps = [step.external_ref or step.name for step in path]
        if length >= NAMES_SHOWN:
            steps = [*steps[:NAMES_SHOWN], f"{length - NAMES_SHOWN} more", steps[0]]
        super().__init__(
            f"an asset can't depend on itself, directly or not: {' -> '.join(steps)}",
            members={"cycle": [step.as_json() for step in path], "length": length},
        )


class DependentsError(RefusedError):
    """Other assets depend on the asset."""

    def __init__(self, detail: str, blockers: Sequence[Reference], total: int) -> None:
        super().__init__(
            f"{detail} {names(blockers, total)}",
            members={"blockers": [blocker.as_json() for blocker in blockers], "total": total},
        )


class TransitionError(RefusedError):
    """The lifecycle does not allow the transition."""

    def __init__(self, old: AssetStatus, new: AssetStatus) -> None:
        allowed = [status for status in AssetStatus if status in ALLOWED_TRANSITIONS[old]]
        super().__init__(
            f"an asset that is {old} can't become {new}; it may become {' or '.join(allowed)}",
            members={"from": old, "to": new, "allowed": allowed},
        )


class NotReadyError(RefusedError):
    """An asset can't be Active while dependencies are missing or in Draft."""

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
            members={
                "unresolved": list(unresolved),
                "drafts": [draft.as_json() for draft in drafts],
            },
        )


class OwnerError(RefusedError):
    """A controller manages the asset and would revert the change."""

    def __init__(self, detail: str, *, managed_by: str, external_ref: str | None) -> None:
        super().__init__(detail, members={"managedBy": managed_by, "externalRef": external_ref})


class UnauthenticatedError(RefusedError):
    """There is no token, or the token is not valid."""


class ForbiddenError(RefusedError):
    """The caller lacks a permission."""


class UnavailableError(RefusedError):
    """Something that the registry needs can't be reached. The same request may succeed later."""


class StorageError(RefusedError):
    """The database failed. Nothing of the request was stored. `busy`: a retry may succeed.

    `again`: the registry itself may try the whole write again at once. `cause`: what the database
    says, for the log.
    """

    def __init__(
        self, reason: str, *, busy: bool = False, again: bool = False, cause: str = ""
    ) -> None:
        super().__init__(f"nothing was changed: the database can't do this: {reason}")
        self.reason = reason
        self.busy = busy
        self.again = again
        self.cause = cause


class OutcomeUnknownError(RefusedError):
    """The answer of the database was lost, and with it whether a change was stored."""

    def __init__(self) -> None:
        super().__init__(
            "the connection to the database was lost while the change was stored: it may have been"
            " stored, or not. Get the asset, or repeat the request with the same Idempotency-Key"
        )


class StorageFullError(StorageError):
    """The disk is full. Nothing of the request was stored; reads still work."""

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
