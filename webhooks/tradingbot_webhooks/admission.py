"""What is answered to a review. Pure: the request and the time go in, an outcome comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tradingbot_api import GROUP
from tradingbot_api.admission import KINDS, defaulted, is_well_formed, review
from tradingbot_api.errors import FieldError, Verdict

from tradingbot_webhooks.json_patch import Operation, diff
from tradingbot_webhooks.wire import AdmissionRequest

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


def validate(request: AdmissionRequest, *, now: datetime) -> Outcome:
    """The verdict on the object as it would be stored."""
    if request.object is None or not concerns_us(request):
        return ALLOWED
    verdict = review(request.kind.kind, request.object, request.old_object, now=now)
    return Outcome(errors=verdict.errors, warnings=_sentences(verdict))


def secret_to_look_up(request: AdmissionRequest) -> tuple[str, str] | None:
    """Namespace and name of the Secret that an admitted TradingBot needs.

    None where nobody would be helped by a warning: other kinds, a bot that is being deleted, and
    updates that leave the spec as it is (the operator's own, on annotations and finalizers).
    """
    bot = request.object
    if bot is None or request.kind.kind != "TradingBot" or not concerns_us(request):
        return None
    spec, metadata = bot.get("spec"), bot.get("metadata")
    if not isinstance(spec, dict) or not isinstance(metadata, dict):
        return None
    if metadata.get("deletionTimestamp") or (request.old_object or {}).get("spec") == spec:
        return None
    exchange = spec.get("exchange")
    name = exchange.get("apiKeySecret") if isinstance(exchange, dict) else None
    if not isinstance(name, str) or not name or not request.namespace:
        return None
    return request.namespace, name


def _sentences(verdict: Verdict) -> tuple[str, ...]:
    return tuple(str(warning) for warning in verdict.warnings)
