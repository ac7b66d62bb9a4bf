"""The base of every model of the schema: strict, frozen, camelCase in JSON."""

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tradingbot_api.constraints import NotNull, Text

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
KEY_NAME = r"^[-._a-zA-Z0-9]{1,253}$"

SecretName = Annotated[
    str,
    Text(
        "must be the name of a Secret (a DNS-1123 subdomain: lower-case letters, digits, '-' and"
        " '.'), never the credential itself",
        pattern=DNS_SUBDOMAIN,
        max_length=253,
        sensitive=True,
    ),
]
SecretKey = Annotated[
    str,
    Text(
        "must be the name of a key in the Secret (letters, digits, '-', '_' and '.', at most 253),"
        " never the credential itself",
        pattern=KEY_NAME,
        max_length=253,
        sensitive=True,
    ),
]


class Model(BaseModel):
    """A part of a resource. An unknown field is an error, a value is never converted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)


class ObjectMeta(BaseModel):
    """The fields of `metadata` that this project reads."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel)

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: list[str] = []
    deletion_timestamp: str | None = None


class Condition(Model):
    """A condition, in the standard form of `metav1.Condition`."""

    type: str = Field(description="Type of the condition, in CamelCase.")
    status: str = Field(
        description="Status of the condition: True, False or Unknown.",
        json_schema_extra={"enum": ["True", "False", "Unknown"]},
    )
    reason: str = Field(description="Machine-readable reason, one CamelCase word.")
    message: str = Field(description="Human-readable reason.")
    last_transition_time: str = Field(
        description="When the status last changed (RFC 3339).",
        json_schema_extra={"format": "date-time"},
    )
    observed_generation: Annotated[int | None, NotNull()] = Field(
        None, description="The metadata.generation that the condition was computed from."
    )


NEVER_OBSERVED = -1
"""The `observedGeneration` of an object that no operator has observed yet."""

AWAITING_OPERATOR: dict[str, Any] = {
    "default": [
        {
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "Waiting for the operator",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }
    ]
}
"""The conditions of such an object. An object without conditions counts as ready to tools that wait
for it (Flux, Helm), so the API server fills these in."""

JsonObject = dict[str, Any]
"""An object as it came over the wire, before or beside its typed form."""


def digest(value: object) -> str:
    """Return a short hash of a JSON value. The order of keys makes no difference."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
