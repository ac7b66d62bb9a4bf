"""AdmissionReview, in and out: `admission.k8s.io/v1`, and only the fields that are acted on.

An object under review that has no mistake of shape is read into its type at once. Any other stays
plain JSON: it need not fit any schema (a mutating webhook is asked before the API server checks
it), and what it becomes is compared with exactly what was sent.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json
from tradingbot_api.errors import FieldError
from tradingbot_api.wellformed import WellFormed, WellFormedBot, WellFormedCatalogue

from tradingbot_webhooks.errors import NotAReviewError
from tradingbot_webhooks.json_patch import Operation

INVALID = 422
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
    """One question of the API server, but for the object and who asks."""

    uid: str
    kind: GroupKind
    operation: str
    namespace: str = ""
    sub_resource: str = Field(default="", alias="subResource")


class AdmissionRequest(Request):
    """A question about any object, which stays plain JSON."""

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


class Creation(Request):
    """The creation of an object that has no mistake of shape: most questions are one. Where it is
    denied, who asked is read anew."""

    operation: Literal["CREATE"]
    sub_resource: Literal[""] = Field(default="", alias="subResource")
    object: WellFormed
    old_object: None = Field(default=None, alias="oldObject")


class _OurKind(GroupKind):
    group: Literal["trading.io"]


class _BotKind(_OurKind):
    kind: Literal["TradingBot"]


class _CatalogueKind(_OurKind):
    kind: Literal["AssetRegistry"]


class BotCreation(Creation):
    """That of a TradingBot."""

    kind: _BotKind
    object: WellFormedBot


class CatalogueCreation(Creation):
    """That of an AssetRegistry."""

    kind: _CatalogueKind
    object: WellFormedCatalogue


class _Review(_Wire):
    api_version: Literal["admission.k8s.io/v1"] = Field(alias="apiVersion")
    kind: Literal["AdmissionReview"]


class _AnyReview(_Review):
    request: AdmissionRequest


class _BotReview(_Review):
    request: BotCreation


class _CatalogueReview(_Review):
    request: CatalogueCreation


_ANY = TypeAdapter(_AnyReview)
_CREATIONS: Mapping[bytes, TypeAdapter[_BotReview] | TypeAdapter[_CatalogueReview]] = {
    b"TradingBot": TypeAdapter(_BotReview),
    b"AssetRegistry": TypeAdapter(_CatalogueReview),
}
_KIND = re.compile(rb'"kind":"(TradingBot|AssetRegistry)"')
_BEGIN = 512
"""Bytes of a review in which the API server has named the kind."""


def parse(body: bytes) -> Creation | AdmissionRequest:
    """The request in an AdmissionReview's bytes. Raises NotAReviewError, which quotes no value."""
    # As the API server writes it. Whatever is written otherwise is read, but not as fast.
    kind = _KIND.search(body, 0, _BEGIN)
    if kind is not None and b'"operation":"CREATE"' in body:
        try:
            return _CREATIONS[kind[1]].validate_json(body).request
        except ValidationError:  # what is wrong is said from plain JSON
            return parse_plain(body)
    return parse_plain(body)


def parse_plain(body: bytes) -> AdmissionRequest:
    """The same, the object as it was sent."""
    try:
        return _ANY.validate_json(body).request
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        what = "is not JSON" if first["type"] == "json_invalid" else first["type"]
        raise NotAReviewError(f"not an AdmissionReview: {place}: {what}") from None


def as_asked(request: Creation | AdmissionRequest, body: bytes) -> AdmissionRequest:
    """All of the request that was read from `body`, the object as it was sent."""
    return request if isinstance(request, AdmissionRequest) else parse_plain(body)


def allowed(uid: str, *, warnings: Sequence[str] = (), patch: Sequence[Operation] = ()) -> bytes:
    """Admit the object, changed by `patch`."""
    response = b'"uid":%b,"allowed":true' % to_json(uid)
    if warnings:
        response += b',"warnings":%b' % to_json(warnings)
    if patch:
        response += b',"patchType":"JSONPatch","patch":"%b"' % base64.b64encode(to_json(patch))
    return _ALLOWED % response


def denied(
    request: AdmissionRequest, errors: Sequence[FieldError], *, warnings: Sequence[str] = ()
) -> bytes:
    """Refuse the object in the API server's own words, every mistake a cause of its own."""
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


def failed(uid: str) -> bytes:
    """Refuse an object because deciding on it failed; what failed stays in the log."""
    status = {
        "status": "Failure",
        "code": INTERNAL_ERROR,
        "reason": "InternalError",
        "message": f"the admission webhook failed on request {uid}: its log has the traceback",
    }
    return to_json(_HEAD | {"response": {"uid": uid, "allowed": False, "status": status}})
