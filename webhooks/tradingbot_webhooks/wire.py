"""AdmissionReview, in and out: `admission.k8s.io/v1`, and only the fields that are acted on.

The object under review stays plain JSON. It need not fit any schema (a mutating webhook is asked
before the API server checks it), and what it becomes is compared with exactly what was sent.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json
from tradingbot_api.errors import FieldError

from tradingbot_webhooks.errors import NotAReviewError
from tradingbot_webhooks.json_patch import Operation

INVALID = 422
INTERNAL_ERROR = 500
_HEAD = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class GroupVersionKind(_Wire):
    group: str = ""
    version: str = ""
    kind: str


class UserInfo(_Wire):
    username: str = ""


class AdmissionRequest(_Wire):
    """One question of the API server."""

    uid: str
    kind: GroupVersionKind
    operation: str
    name: str = ""
    namespace: str = ""
    sub_resource: str = Field(default="", alias="subResource")
    user_info: UserInfo = Field(default=UserInfo(), alias="userInfo")
    dry_run: bool | None = Field(default=None, alias="dryRun")
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = Field(default=None, alias="oldObject")

    @property
    def object_name(self) -> str:
        """The object's name, or its generateName while it has no name yet."""
        if self.name:
            return self.name
        metadata = (self.object or {}).get("metadata")
        if isinstance(metadata, dict):
            for key in ("name", "generateName"):
                if isinstance(metadata.get(key), str) and metadata[key]:
                    return str(metadata[key])
        return ""


class AdmissionReview(_Wire):
    api_version: Literal["admission.k8s.io/v1"] = Field(alias="apiVersion")
    kind: Literal["AdmissionReview"]
    request: AdmissionRequest


_REVIEW = TypeAdapter(AdmissionReview)


def parse(body: bytes) -> AdmissionRequest:
    """The request in an AdmissionReview's bytes. Raises NotAReviewError, which quotes no value."""
    try:
        return _REVIEW.validate_json(body).request
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        what = "is not JSON" if first["type"] == "json_invalid" else first["type"]
        raise NotAReviewError(f"not an AdmissionReview: {place}: {what}") from None


def allowed(uid: str, *, warnings: Sequence[str] = (), patch: Sequence[Operation] = ()) -> bytes:
    """Admit the object, changed by `patch`."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if warnings:
        response["warnings"] = warnings
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(to_json(patch)).decode("ascii")
    return to_json(_HEAD | {"response": response})


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
