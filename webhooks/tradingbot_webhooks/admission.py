"""Decide on admission requests. Pure: takes a request and the time, returns an outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tradingbot_api import GROUP
from tradingbot_api.admission.meaning import has_whole_decimals
from tradingbot_api.admission.review import (
    KINDS,
    NO_FINDINGS,
    defaulted,
    has_defaults,
    is_well_formed,
    review,
)
from tradingbot_api.errors import FieldError, Verdict
from tradingbot_api.strategies.checked import DEFAULT_STRATEGY_IMAGES

from tradingbot_webhooks.json_patch import Operation, diff, no_change
from tradingbot_webhooks.wire import AdmissionRequest, TypedCreation

_OPERATIONS = frozenset({"CREATE", "UPDATE"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a request: allowed unless there are errors."""

    errors: tuple[FieldError, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[Operation, ...] = ()

    @property
    def allowed(self) -> bool:
        return not self.errors


ALLOWED = Outcome()


def concerns_us(request: AdmissionRequest) -> bool:
    """Return whether the request may be denied or changed.

    All others are allowed: deletions, subresources (only the operator writes `status`), and kinds
    that a wrong webhook configuration sends here.
    """
    return (
        request.object is not None
        and request.operation in _OPERATIONS
        and not request.sub_resource
        and request.kind.group == GROUP
        and request.kind.kind in KINDS
    )


def mutate(
    request: TypedCreation | AdmissionRequest,
    *,
    plain: Callable[[], AdmissionRequest],
    now: datetime,
    strategy_images: frozenset[str] = DEFAULT_STRATEGY_IMAGES,
) -> Outcome:
    """Return the constant defaults, and fractions as strings, as a patch. `plain` reads the request
    again with its object as plain JSON.

    An object that the CRD's schema would refuse is denied here already: that check stops at
    the first layer of mistakes and comes before the validating webhook, so this is the only place
    where the user can be told all of them at once.
    """
    if isinstance(request, TypedCreation):
        if has_defaults(request.kind.kind, request.object):
            return ALLOWED
        request = plain()
    if request.object is None or not concerns_us(request):
        return ALLOWED
    kind = request.kind.kind
    wanted = defaulted(kind, request.object)
    if not is_well_formed(kind, wanted, request.old_object):
        verdict = review(kind, wanted, request.old_object, now=now, strategy_images=strategy_images)
        if verdict.malformed and not verdict.allowed:
            return Outcome(errors=verdict.errors, warnings=_sentences(verdict))
    patch = diff(request.object, wanted)
    if not patch and has_whole_decimals(KINDS[kind].spec_model, wanted.get("spec")):
        # The API server may hold 5.0 as a float, which it sends as 5 and which CEL refuses in an
        # int-or-string. After any patch it reads the object again, and 5 is whole.
        patch = [no_change("/kind", kind)]
    return Outcome(patch=tuple(patch))


def validate(
    request: TypedCreation | AdmissionRequest,
    *,
    now: datetime,
    strategy_images: frozenset[str] = DEFAULT_STRATEGY_IMAGES,
) -> Outcome:
    """Return the verdict on the object as it would be stored."""
    if request.object is None:
        return ALLOWED
    if not isinstance(request, TypedCreation) and not concerns_us(request):
        return ALLOWED
    verdict = review(
        request.kind.kind,
        request.object,
        request.old_object,
        now=now,
        strategy_images=strategy_images,
    )
    if verdict is NO_FINDINGS:
        return ALLOWED
    return Outcome(errors=verdict.errors, warnings=_sentences(verdict))


def _sentences(verdict: Verdict) -> tuple[str, ...]:
    return tuple(str(warning) for warning in verdict.warnings)
