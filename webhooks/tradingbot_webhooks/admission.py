"""What is answered to a review. Pure: the request and the time go in, an outcome comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import starmap
from typing import Any

from tradingbot_api import GROUP
from tradingbot_api.admission import (
    KINDS,
    SILENT,
    additions,
    defaulted,
    is_well_formed,
    review,
    review_well_formed,
)
from tradingbot_api.errors import FieldError, Verdict

from tradingbot_webhooks.json_patch import Operation, addition, diff
from tradingbot_webhooks.wire import AdmissionRequest, BotCreation, Creation

_OPERATIONS = frozenset({"CREATE", "UPDATE"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """Allowed unless there are errors."""

    errors: tuple[FieldError, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[Operation, ...] = ()

    @property
    def allowed(self) -> bool:
        return not self.errors


ALLOWED = Outcome()


def concerns_us(request: AdmissionRequest) -> bool:
    """Whether the request is one that may be denied or changed.

    Everything else is allowed: deletions, subresources (`status` is the operator's own), and kinds
    that a configuration sends here by mistake, which must not be held up.
    """
    return (
        request.object is not None
        and request.operation in _OPERATIONS
        and not request.sub_resource
        and request.kind.group == GROUP
        and request.kind.kind in KINDS
    )


def mutate_well_formed(request: Creation) -> Outcome | None:
    """What `mutate` answers; None if only the object as it was sent can tell."""
    added = additions(request.kind.kind, request.object)
    return None if added is None else Outcome(patch=tuple(starmap(addition, added)))


def mutate(request: AdmissionRequest, *, now: datetime) -> Outcome:
    """The defaults as a patch.

    An object that the CRD's schema would refuse is denied here already: that check stops at
    the first layer of mistakes and comes before the validating webhook, so this is the only place
    where the user can be told all of them at once.
    """
    if request.object is None or not concerns_us(request):
        return ALLOWED
    kind = request.kind.kind
    wanted = defaulted(kind, request.object)
    if not is_well_formed(kind, wanted, request.old_object):
        verdict = review(kind, wanted, request.old_object, now=now)
        if verdict.malformed and not verdict.allowed:
            return Outcome(errors=verdict.errors, warnings=_sentences(verdict))
    return Outcome(patch=tuple(diff(request.object, wanted)))


def validate(request: Creation | AdmissionRequest, *, now: datetime) -> Outcome:
    """The verdict on the object as it would be stored."""
    if isinstance(request, Creation):
        verdict = review_well_formed(request.kind.kind, request.object, now=now)
    elif request.object is None or not concerns_us(request):
        return ALLOWED
    else:
        verdict = review(request.kind.kind, request.object, request.old_object, now=now)
    if verdict is SILENT:
        return ALLOWED
    return Outcome(errors=verdict.errors, warnings=_sentences(verdict))


def secret_to_look_up(request: Creation | AdmissionRequest) -> tuple[str, str] | None:
    """Namespace and name of the Secret that an admitted TradingBot needs.

    None where nobody would be helped by a warning: other kinds, a bot that is being deleted, and
    updates that leave the spec as it is (the operator's own, on annotations and finalizers).
    """
    if isinstance(request, Creation):
        if not isinstance(request, BotCreation) or request.object.metadata.deletion_timestamp:
            return None
        name: Any = request.object.spec.exchange.api_key_secret
    else:
        name = _secret_in(request)
    if not isinstance(name, str) or not name or not request.namespace:
        return None
    return request.namespace, name


def _secret_in(request: AdmissionRequest) -> Any:
    bot = request.object
    if bot is None or request.kind.kind != "TradingBot" or not concerns_us(request):
        return None
    spec, metadata = bot.get("spec"), bot.get("metadata")
    if not isinstance(spec, dict) or not isinstance(metadata, dict):
        return None
    if metadata.get("deletionTimestamp") or (request.old_object or {}).get("spec") == spec:
        return None
    exchange = spec.get("exchange")
    return exchange.get("apiKeySecret") if isinstance(exchange, dict) else None


def _sentences(verdict: Verdict) -> tuple[str, ...]:
    return tuple(str(warning) for warning in verdict.warnings)
