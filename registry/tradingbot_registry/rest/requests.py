"""The JSON bodies that describe an asset in a request."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate
from tradingbot_api.asset import (
    MAX_CONFIG_BYTES,
    REFERENCE_PATTERN,
    REQUIRED_CONFIG,
    config_problems,
)
from tradingbot_api.assetregistry import SecretRef as SecretRefModel

from tradingbot_registry.inventory.record import (
    MAX_NAME,
    ExternalRef,
    ManagedBy,
    SecretRef,
    Wanted,
    is_plain_name,
)
from tradingbot_registry.refusals import Complaint, InvalidError
from tradingbot_registry.rest.asset_fields import REQUIRED, Whole, asset_field, unique
from tradingbot_registry.rest.read_only import Computed, Identity, Owner, names
from tradingbot_registry.rest.schema import Schema

MAX_DEPENDENCIES = 1000

UUID_PATTERN = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

ITSELF = None
"""A key in a tree of messages: the message is about the value itself."""


NAME_PATTERN = r"^\S([^\x00-\x1f\x7f-\x9f]*\S)?$"
"""What the document says of a name. `_plain` refuses more: a pattern has no Unicode categories."""


def _plain(name: str) -> None:
    if not is_plain_name(name):
        raise ma.ValidationError(
            "May not begin or end with white space or contain control characters."
        )


class SecretRefSchema(Schema):
    """The credential of an asset: a key in a Kubernetes Secret."""

    name = asset_field("name", model=SecretRefModel, required=True, example="orders-db")
    key = asset_field("key", model=SecretRefModel, required=True, example="password")

    @ma.post_load
    def _record(self, data: dict[str, str], **_: object) -> SecretRef:
        return SecretRef(**data)


DEPENDENCY_PATTERN = f"{UUID_PATTERN}|{REFERENCE_PATTERN}"


def depends_on_item(pattern: str = DEPENDENCY_PATTERN) -> fields.String:
    """Return the field of one dependency."""
    return fields.String(
        validate=Whole(
            pattern, "Must be the id of an asset or an external reference source/namespace/name."
        )
    )


class WantedSchema(Schema):
    """Common fields of all bodies that describe an asset."""

    also_documented: ClassVar[Mapping[str, Any]] = {
        "allOf": [
            {
                "if": {"properties": {"type": {"const": kind}}},
                "then": {
                    "properties": {"config": {"required": list(keys)}},
                    "required": ["config"],
                },
            }
            for kind, keys in REQUIRED_CONFIG.items()
        ]
    }
    """Keywords of the document: what is required of some fields by the values of others."""

    kept: Mapping[str, Any] = MappingProxyType({})
    """Fields, by attribute, that the body leaves as they are stored. They are not checked again: an
    asset that a newer rule would refuse can still be changed elsewhere."""

    name = fields.String(
        required=True,
        error_messages=REQUIRED,
        validate=[validate.Length(min=1, max=MAX_NAME), _plain],
        metadata={
            "description": "Name for people: no control or bidirectional formatting characters."
            " Not unique; `id` is.",
            "example": "orders-db",
            "pattern": NAME_PATTERN,
        },
    )
    type = asset_field(
        "type",
        required=True,
        note="Some types need keys in `config`: "
        + "; ".join(f"{kind}: {', '.join(keys)}" for kind, keys in REQUIRED_CONFIG.items())
        + ".",
        example="DatabaseConnection",
    )
    config = asset_field(
        "config",
        load_default=dict,
        description=f"Facts about the asset: any JSON object of at most {MAX_CONFIG_BYTES} bytes."
        " Never credentials: what looks like one, by its name or by its value, is refused at any"
        " depth. Put the credential into a Secret and name the Secret in `secretRef`.",
        example={"engine": "postgres", "host": "db.internal", "database": "orders"},
    )
    secret_ref = asset_field(
        "secret_ref", nested=SecretRefSchema, load_default=None, note="null: no credential."
    )
    depends_on = fields.List(
        depends_on_item(),
        data_key="dependsOn",
        load_default=list,
        validate=[validate.Length(max=MAX_DEPENDENCIES), unique],
        metadata={
            "uniqueItems": True,
            "description": "What it needs: asset ids, or external references"
            " `source/namespace/name`. A reference to an asset that is not there yet is kept as"
            " written and becomes the id once it appears. Cycles are refused.",
            "example": [],
        },
    )

    @ma.validates_schema(skip_on_field_errors=False)
    def _check_config(self, data: dict[str, Any], **_: object) -> None:
        fields_now = {**data, **self.kept}
        if not {"type", "config"} <= fields_now.keys() or {"type", "config"} <= self.kept.keys():
            return
        messages: dict[Any, Any] = {}
        for problem in config_problems(fields_now["type"], fields_now["config"]):
            # Of a config that stays, only what its new type needs is asked for.
            if not problem.certain or ("config" in self.kept and not problem.missing):
                continue
            place = messages.setdefault("config", {})
            for step in problem.pointer:
                place = place.setdefault(step, {})
            what = "Required value: " if problem.missing else ""
            place.setdefault(ITSELF, []).append(what + problem.message)
        if messages:
            raise ma.ValidationError(messages)

    @ma.post_load
    def _wanted(self, data: dict[str, Any], **_: object) -> Wanted:
        data = {**data, **self.kept}
        tags = data.get("tags")
        return Wanted(
            name=data["name"],
            type=data["type"],
            status=data.get("status"),
            description=data.get("description"),
            tags=None if tags is None else frozenset(tags),
            config=data["config"],
            secret_ref=data["secret_ref"],
            depends_on=tuple(entry.lower() for entry in data["depends_on"]),
            managed_by=data.get("managed_by", ManagedBy.USER),
        )


def _status(description: str) -> fields.Field[Any]:
    return asset_field("status", description=description, example="Draft")


def _description(**options: Any) -> fields.Field[Any]:
    return asset_field("description", example="Orders of the matching engine", **options)


def _tags(**options: Any) -> fields.Field[Any]:
    return asset_field(
        "tags", note="A set: the order is not kept.", example=["env:prod", "team-a"], **options
    )


LIFECYCLE = (
    "Draft may become Active, Inactive or Failed; Active may become Inactive or Failed; Inactive"
    " may become Active or Failed; Failed may become Active or Inactive; nothing returns to Draft."
)


class UserAssetSchema(WantedSchema):
    """An asset that people keep, as it should be."""

    description = _description(load_default="")
    tags = _tags(load_default=list)


class CreateSchema(UserAssetSchema, Owner, Computed):
    """A new asset. The registry makes its `id`."""

    class Meta:
        dump_only = names(Owner, Computed)

    status = _status(f"Status; default: Draft. {LIFECYCLE}")


class ReplaceSchema(UserAssetSchema, Identity, Owner, Computed):
    """An asset as it should be.

    What is left out gets its default, except `status`, which stays. Read-only fields may be there:
    what the registry computes is ignored, and `id`, `managedBy` and `externalRef` must be as they
    were.
    """

    class Meta:
        dump_only = names(Identity, Owner, Computed)

    status = _status(f"Status; if omitted, unchanged. {LIFECYCLE}")


class PatchSchema(Identity, Owner, Computed):
    """Changes to an asset: what is left out stays, null resets a field to its default.

    This schema is documentation: a patch is checked after it is applied.
    """

    class Meta:
        dump_only = names(Identity, Owner, Computed)

    name = fields.String(
        validate=validate.Length(min=1, max=MAX_NAME),
        metadata={"description": "New name.", "example": "orders-db", "pattern": NAME_PATTERN},
    )
    type = asset_field("type", description="New type.")
    status = asset_field("status", description=f"Next status. {LIFECYCLE}", example="Active")
    description = asset_field(
        "description", allow_none=True, description="New description; null makes it empty."
    )
    tags = asset_field("tags", allow_none=True, description="All tags; null removes all tags.")
    config = asset_field(
        "config", allow_none=True, description="Keys to set; a key that is null is removed."
    )
    secret_ref = asset_field(
        "secret_ref",
        nested=SecretRefSchema,
        description="New Secret and key; null removes them.",
    )
    depends_on = fields.List(
        depends_on_item(),
        data_key="dependsOn",
        allow_none=True,
        validate=[validate.Length(max=MAX_DEPENDENCIES), unique],
        metadata={
            "description": "All dependencies; null removes all dependencies.",
            "uniqueItems": True,
        },
    )


class UpsertSchema(WantedSchema, Identity, Computed):
    """An asset as its owner wants it.

    `status`, `description` and `tags` that are left out stay as they are, so that people can
    describe and tag what a controller keeps.
    """

    class Meta:
        dump_only = names(Identity, Computed)

    status = _status(f"Status; if omitted, Draft for a new asset, else unchanged. {LIFECYCLE}")
    description = _description()
    tags = _tags()
    managed_by = fields.Enum(
        ManagedBy,
        by_value=fields.String,
        data_key="managedBy",
        load_default=ManagedBy.OPERATOR,
        metadata={
            "description": "Who manages the asset; `user` hands it over to users, who may then edit"
            " it.",
            "example": "crd",
        },
    )


def checked_ref(source: str, namespace: str, name: str) -> ExternalRef:
    """Return the external reference of these parts. Raises InvalidError."""
    ref = ExternalRef(source, namespace, name)
    if re.fullmatch(REFERENCE_PATTERN, str(ref)) is None:
        raise InvalidError(
            [
                Complaint(
                    "",
                    f"{str(ref)!r} is not an external reference: source, namespace and name are"
                    " lower-case letters, digits and '-', in the name also '.'",
                )
            ]
        )
    return ref
