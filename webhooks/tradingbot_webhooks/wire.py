"""Reads and writes AdmissionReviews of `admission.k8s.io/v1`; only the fields that are used.

A request is read into one of three types:

| type | request | object |
|---|---|---|
| `BotCreation` | CREATE of a TradingBot without schema errors, its decimals strings | typed spec |
| `AssetRegistryCreation` | CREATE of an AssetRegistry without schema errors | typed spec |
| `AdmissionRequest` | all others | plain JSON |

Example: `{"operation": "CREATE", "kind": {"kind": "TradingBot"}, "object": {...}}` is a
`BotCreation` if every field of the object has the right form, and an `AdmissionRequest` if one has
not. An object with schema errors stays plain JSON, since the API server calls a mutating webhook
before it checks the object, and the patch must fit the object that was sent.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json
from tradingbot_api.admission.typed_review import TypedAssetRegistry, TypedBot, TypedObject
from tradingbot_api.constraints import STRINGS_ALONE
from tradingbot_api.errors import FieldError

from tradingbot_webhooks.errors import NotAReviewError, TooComplexError
from tradingbot_webhooks.json_patch import Operation
from tradingbot_webhooks.review_size import MAX_CONTAINERS, MAX_VALUES, is_too_complex

INVALID = 422
TOO_LARGE = 413
INTERNAL_ERROR = 500
_HEAD = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
_ALLOWED = to_json(_HEAD)[:-1] + b',"response":{%b}}'


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class GroupKind(_Wire):
    group: str = ""
    kind: str


class UserInfo(_Wire):
    username: str = ""


class Request(_Wire):
    """A request of the API server, without its object and its user."""

    uid: str
    kind: GroupKind
    operation: str
    namespace: str = ""
    sub_resource: str = Field(default="", alias="subResource")


class AdmissionRequest(Request):
    """A request about any object, which stays plain JSON."""

    name: str = ""
    user_info: UserInfo = Field(default=UserInfo(), alias="userInfo")
    dry_run: bool | None = Field(default=None, alias="dryRun")
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = Field(default=None, alias="oldObject")

    @property
    def object_name(self) -> str:
        """The object's name, or its generateName while it has no name yet."""
        metadata = (self.object or {}).get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        names = (self.name, metadata.get("name"), metadata.get("generateName"))
        return next((name for name in names if isinstance(name, str) and name), "")


class TypedCreation(Request):
    """The creation of an object without schema errors: most requests are one. The user is read only
    if the object is denied (`as_plain`)."""

    operation: Literal["CREATE"]
    sub_resource: Literal[""] = Field(default="", alias="subResource")
    object: TypedObject
    old_object: None = Field(default=None, alias="oldObject")


class _OurKind(GroupKind):
    group: Literal["trading.io"]


class _BotKind(_OurKind):
    kind: Literal["TradingBot"]


class _AssetRegistryKind(_OurKind):
    kind: Literal["AssetRegistry"]


class BotCreation(TypedCreation):
    """The creation of a TradingBot."""

    kind: _BotKind
    object: TypedBot


class AssetRegistryCreation(TypedCreation):
    """The creation of an AssetRegistry."""

    kind: _AssetRegistryKind
    object: TypedAssetRegistry


class _Review(_Wire):
    api_version: Literal["admission.k8s.io/v1"] = Field(alias="apiVersion")
    kind: Literal["AdmissionReview"]


class _AnyReview(_Review):
    request: AdmissionRequest


class _CreationReview(_Review):
    request: TypedCreation


class _BotReview(_CreationReview):
    request: BotCreation


class _AssetRegistryReview(_CreationReview):
    request: AssetRegistryCreation


_ANY = TypeAdapter(_AnyReview)
_CREATIONS = {
    b"TradingBot": TypeAdapter(_BotReview).validator,
    b"AssetRegistry": TypeAdapter(_AssetRegistryReview).validator,
}
_KIND = re.compile(rb'"kind":"(TradingBot|AssetRegistry)"')
_UID = re.compile(
    rb'\{"kind":"AdmissionReview","apiVersion":"admission\.k8s\.io/v1","request":\{'
    rb'"uid":"([-0-9a-f]{36})"'
)
_TOO_DEEP = "recursion limit"
TOO_COMPLEX = (
    "too much to check: the object, together with its managedFields and on an update with its old"
    f" version, may hold at most {MAX_CONTAINERS} lists and objects and {MAX_VALUES} values, and"
    " nest about 200 levels deep. Split an AssetRegistry into several"
)
_BEGIN = 512
"""Bytes of a review that contain the kind."""
_QUICK = 256 << 10
"""Maximum bytes of a review that is read into its type: a parser collects an error for each unknown
key. 12 MiB for those of a review of this size; a larger review could have too many."""


def parse(body: bytes) -> TypedCreation | AdmissionRequest:
    """Return the request in the bytes of an AdmissionReview.

    Raises TooComplexError, and NotAReviewError; neither quotes a value.
    """
    if is_too_complex(body):
        raise TooComplexError(TOO_COMPLEX)
    # As the API server writes it. Reviews in another form are read too, but not as fast.
    kind = _KIND.search(body, 0, _BEGIN) if len(body) <= _QUICK else None
    if kind is not None and b'"operation":"CREATE"' in body:
        try:
            review: _CreationReview = _CREATIONS[kind[1]].validate_json(body, context=STRINGS_ALONE)
        except ValidationError:  # errors, and whole numbers, are found in plain JSON
            return parse_plain(body)
        return review.request
    return parse_plain(body)


def parse_plain(body: bytes) -> AdmissionRequest:
    """Return the request with its object as plain JSON."""
    try:
        return _ANY.validate_json(body).request
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        if _TOO_DEEP in str(first.get("ctx", {}).get("error", "")):
            raise TooComplexError(TOO_COMPLEX) from None
        place = ".".join(map(str, first["loc"])) or "the body"
        what = "is not JSON" if first["type"] == "json_invalid" else first["type"]
        raise NotAReviewError(f"not an AdmissionReview: {place}: {what}") from None


def as_plain(request: TypedCreation | AdmissionRequest, body: bytes) -> AdmissionRequest:
    """Return the request that was read from `body`, with its object as plain JSON."""
    return request if isinstance(request, AdmissionRequest) else parse_plain(body)


def allowed(uid: str, *, warnings: Sequence[str] = (), patch: Sequence[Operation] = ()) -> bytes:
    """Encode an answer that admits the object, changed by `patch`."""
    response = b'"uid":%b,"allowed":true' % to_json(uid)
    if warnings:
        response += b',"warnings":%b' % to_json(warnings)
    if patch:
        response += b',"patchType":"JSONPatch","patch":"%b"' % base64.b64encode(to_json(patch))
    return _ALLOWED % response


def denied(
    request: AdmissionRequest, errors: Sequence[FieldError], *, warnings: Sequence[str] = ()
) -> bytes:
    """Encode a denial in the API server's own words, with a cause for each error."""
    kind, name = request.kind, request.object_name
    texts = [str(error) for error in errors]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    status = {
        "status": "Failure",
        "code": INVALID,
        "reason": "Invalid",
        "message": f'{kind.kind}.{kind.group} "{name}" is invalid: {listed}',
        "details": {
            "name": name,
            "group": kind.group,
            "kind": kind.kind,
            "causes": [
                {"reason": error.reason, "message": error.message, "field": error.field}
                for error in errors
            ],
        },
    }
    response: dict[str, Any] = {"uid": request.uid, "allowed": False, "status": status}
    if warnings:
        response["warnings"] = warnings
    return to_json(_HEAD | {"response": response})


def uid_of(body: bytes) -> str | None:
    """Return the uid of a review without parsing it, if the API server has written it."""
    begin = _UID.match(body)
    return begin[1].decode() if begin else None


def refused(uid: str) -> bytes:
    """Encode a denial of an object with too many values."""
    status = {
        "status": "Failure",
        "code": TOO_LARGE,
        "reason": "RequestEntityTooLarge",
        "message": TOO_COMPLEX,
    }
    return to_json(_HEAD | {"response": {"uid": uid, "allowed": False, "status": status}})


def failed(uid: str) -> bytes:
    """Encode a denial because deciding failed. The cause is only logged."""
    status = {
        "status": "Failure",
        "code": INTERNAL_ERROR,
        "reason": "InternalError",
        "message": f"the admission webhook failed on request {uid}: its log has the traceback",
    }
    return to_json(_HEAD | {"response": {"uid": uid, "allowed": False, "status": status}})
