"""The base of every model of the schema: strict, frozen, camelCase on the wire."""

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
    """The parts of `metadata` that something here reads."""

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

    type: str = Field(description="What the condition is about, in CamelCase.")
    status: str = Field(
        description="Whether it holds: True, False or Unknown.",
        json_schema_extra={"enum": ["True", "False", "Unknown"]},
    )
    reason: str = Field(description="Why, as one CamelCase word that programs may rely on.")
    message: str = Field(description="Why, in words for a person.")
    last_transition_time: str = Field(
        description="When the status last changed (RFC 3339).",
        json_schema_extra={"format": "date-time"},
    )
    observed_generation: Annotated[int | None, NotNull()] = Field(
        None, description="The metadata.generation that the condition was computed from."
    )


JsonObject = dict[str, Any]
"""An object as it came over the wire, before or beside its typed form."""
