"""The JSON of requests and answers."""

import re
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

CREDENTIAL = re.compile(r"(?i)(password|passwd|secret|token|api_?key|private_?key|credential)")
"""Names in `config` that are refused. The registry's own detector also knows values."""
REFERENCE = re.compile(r"[a-z][-a-z0-9]*/[a-z0-9][-a-z0-9]*/[a-z0-9][-a-z0-9.]*")
UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class AssetType(StrEnum):
    API_ENDPOINT = "ApiEndpoint"
    DATABASE_CONNECTION = "DatabaseConnection"
    KUBERNETES_DEPLOYMENT = "KubernetesDeployment"
    KUBERNETES_SERVICE = "KubernetesService"
    CONFIGURATION = "Configuration"
    MESSAGE_QUEUE = "MessageQueue"
    OBJECT_STORE = "ObjectStore"
    OTHER = "Other"


class AssetStatus(StrEnum):
    DRAFT = "Draft"
    ACTIVE = "Active"
    INACTIVE = "Inactive"
    FAILED = "Failed"


REQUIRED = {
    AssetType.API_ENDPOINT: ("url",),
    AssetType.DATABASE_CONNECTION: ("engine", "host", "database"),
    AssetType.KUBERNETES_DEPLOYMENT: ("namespace", "name"),
}


class Model(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class SecretRef(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]{1,253}$")]


def unique(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("has a value twice")
    return values


def dependency(text: str) -> str:
    if not (UUID_TEXT.fullmatch(text) or REFERENCE.fullmatch(text)):
        raise ValueError("must be the id of an asset or an external reference")
    return text


def plain(name: str) -> str:
    if name != name.strip() or not name.isprintable():
        raise ValueError("may not begin or end with white space or contain control characters")
    return name


Tag = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9_.:]{0,61}[a-z0-9])?$")]


class NewAsset(Model):
    """The body of a creation."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=253), AfterValidator(plain)]
    type: AssetType
    status: AssetStatus = AssetStatus.DRAFT
    description: Annotated[str, Field(max_length=1024)] = ""
    tags: Annotated[list[Tag], Field(max_length=32), AfterValidator(unique)] = []
    config: dict[str, Any] = {}
    secret_ref: SecretRef | None = None
    depends_on: Annotated[
        list[Annotated[str, AfterValidator(dependency)]],
        Field(max_length=1000),
        AfterValidator(unique),
    ] = []

    @model_validator(mode="after")
    def _check_config(self) -> Self:
        missing = [key for key in REQUIRED.get(self.type, ()) if not self.config.get(key)]
        if missing:
            raise ValueError(f"config needs {', '.join(missing)}")
        if any(CREDENTIAL.search(name) for name in names(self.config)):
            raise ValueError("config looks like a credential")
        return self


def names(value: Any) -> Any:
    """Yield all names of a JSON value."""
    if isinstance(value, dict):
        yield from value
        for each in value.values():
            yield from names(each)
    elif isinstance(value, list):
        for each in value:
            yield from names(each)


class Reference(Model):
    id: UUID
    name: str
    type: str
    status: str
    external_ref: str | None


class Reached(Reference):
    depth: int


class Asset(Model):
    id: UUID
    name: str
    type: str
    status: str
    effective_status: str
    caused_by: list[Reference]
    more_causes: bool
    description: str
    tags: list[str]
    config: dict[str, Any]
    secret_ref: dict[str, str] | None
    managed_by: str
    external_ref: str | None
    depends_on: list[str]
    unresolved: list[str]
    version: int
    created_at: str
    updated_at: str
