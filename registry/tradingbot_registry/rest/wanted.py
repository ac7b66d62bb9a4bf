"""The JSON that describes an asset as a client wants it: what it may be, and why not otherwise."""

import re
from collections.abc import Mapping
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate
from tradingbot_api.asset import (
    MAX_CONFIG_BYTES,
    MAX_DESCRIPTION,
    MAX_TAGS,
    REQUIRED_CONFIG,
    TAG_PATTERN,
    AssetStatus,
    AssetType,
    config_problems,
)
from tradingbot_api.model import DNS_SUBDOMAIN, KEY_NAME

from tradingbot_registry.problems import Complaint, InvalidError
from tradingbot_registry.record import ExternalRef, ManagedBy, SecretRef, Wanted

MAX_NAME = 253
MAX_DEPENDENCIES = 1000

REF_PATTERN = (
    r"[a-z]([-a-z0-9]{0,30}[a-z0-9])?"
    r"/[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
    r"/[a-z0-9]([-a-z0-9.]{0,315}[a-z0-9])?"
)
UUID_PATTERN = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

ITSELF = None
"""A key in a tree of messages: about the value itself and not about something in it."""

EXAMPLE_ID = "7f0f3c1e-6f0a-4a54-9d6b-0d6f3c1b2a11"
EXAMPLE_REF = "crd/default/catalogue.orders-db"

COMPUTED = frozenset({"version", "createdAt", "updatedAt", "effectiveStatus", "causedBy"})
"""What the registry works out. It is let through in a body and ignored, so that an asset can be
read, edited and put back."""

IDENTITY = frozenset({"id", "managedBy", "externalRef"})
"""What is settled when an asset is made. A body may hold it and may not change it."""

REQUIRED: dict[str, Any] = {"required": "Required value.", "null": "May not be null."}


def _whole(pattern: str, message: str) -> Any:
    """A validator: the string is of that pattern from its first to its last character."""
    return validate.Regexp(rf"(?:{pattern.removeprefix('^').removesuffix('$')})\Z", error=message)


def _unique(values: list[str]) -> None:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ma.ValidationError(f"Duplicate value: {', '.join(repeated)}.")


def _plain(name: str) -> None:
    if name != name.strip() or not name.isprintable():
        raise ma.ValidationError("May not begin or end with a blank or hold control characters.")


class SecretRefSchema(ma.Schema):
    """Where the credential of an asset is: a key in a Kubernetes Secret."""

    name = fields.String(
        required=True,
        error_messages=REQUIRED,
        validate=[
            validate.Length(max=253),
            _whole(DNS_SUBDOMAIN, "Must be the name of a Secret (a DNS-1123 subdomain)."),
        ],
        metadata={"description": "Name of the Secret.", "example": "orders-db"},
    )
    key = fields.String(
        required=True,
        error_messages=REQUIRED,
        validate=_whole(KEY_NAME, "Must be the name of a key in a Secret."),
        metadata={"description": "Key inside the Secret.", "example": "password"},
    )

    @ma.post_load
    def _record(self, data: dict[str, str], **_: object) -> SecretRef:
        return SecretRef(**data)


def _depends_on_item() -> fields.String:
    return fields.String(
        validate=_whole(
            f"{UUID_PATTERN}|{REF_PATTERN}",
            "Must be the id of an asset or an external reference source/namespace/name.",
        )
    )


class WantedSchema(ma.Schema):
    """What every body that describes an asset has in common."""

    name = fields.String(
        required=True,
        error_messages=REQUIRED,
        validate=[validate.Length(min=1, max=MAX_NAME), _plain],
        metadata={
            "description": "What people call it. Need not be unique: `id` is.",
            "example": "orders-db",
        },
    )
    type = fields.Enum(
        AssetType,
        by_value=fields.String,
        required=True,
        error_messages=REQUIRED,
        metadata={
            "description": "Kind of infrastructure. Some need keys in `config`: "
            + "; ".join(f"{kind}: {', '.join(keys)}" for kind, keys in REQUIRED_CONFIG.items())
            + ".",
            "example": "DatabaseConnection",
        },
    )
    config = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={
            "description": f"Facts about it, any JSON object of at most {MAX_CONFIG_BYTES} bytes."
            " Never credentials: a key that names one, or a URL with user info, is refused at"
            " any depth. Put the credential into a Secret and name it in `secretRef`.",
            "example": {"engine": "postgres", "host": "db.internal", "database": "orders"},
        },
    )
    secret_ref = fields.Nested(
        SecretRefSchema,
        data_key="secretRef",
        allow_none=True,
        load_default=None,
        metadata={"description": "The Secret and key that hold its credential; null without."},
    )
    depends_on = fields.List(
        _depends_on_item(),
        data_key="dependsOn",
        load_default=list,
        validate=[validate.Length(max=MAX_DEPENDENCIES), _unique],
        metadata={
            "description": "What it needs: asset ids, or external references"
            " `source/namespace/name`. A reference to an asset that is not there yet is kept as"
            " written and becomes the id once it appears. Cycles are refused.",
            "example": [],
        },
    )

    @ma.pre_load
    def _drop_computed(self, data: Any, **_: object) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {key: value for key, value in data.items() if key not in COMPUTED}

    @ma.validates_schema(skip_on_field_errors=False)
    def _check_config(self, data: dict[str, Any], **_: object) -> None:
        if "type" not in data or "config" not in data:
            return
        messages: dict[Any, Any] = {}
        for problem in config_problems(data["type"], data["config"]):
            place = messages.setdefault("config", {})
            for step in problem.pointer:
                place = place.setdefault(step, {})
            what = "Required value: " if problem.missing else ""
            place.setdefault(ITSELF, []).append(what + problem.message)
        if messages:
            raise ma.ValidationError(messages)

    @ma.post_load
    def _wanted(self, data: dict[str, Any], **_: object) -> Wanted:
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


def _status(description: str) -> fields.Enum[AssetStatus]:
    return fields.Enum(
        AssetStatus,
        by_value=fields.String,
        metadata={"description": description, "example": "Draft"},
    )


def _description(**options: Any) -> fields.String:
    return fields.String(
        validate=validate.Length(max=MAX_DESCRIPTION),
        metadata={
            "description": "What it is, for a person.",
            "example": "Orders of the matching engine",
        },
        **options,
    )


def _tags(**options: Any) -> fields.List[Any]:
    return fields.List(
        fields.String(
            validate=_whole(
                TAG_PATTERN,
                "Must be at most 63 lower-case letters, digits, '-', '_', '.' and ':', beginning"
                " and ending with a letter or digit.",
            )
        ),
        validate=[validate.Length(max=MAX_TAGS), _unique],
        metadata={
            "description": "Words to find it by. A set: the order is not kept.",
            "example": ["env:prod", "team-a"],
        },
        **options,
    )


LIFECYCLE = (
    "Draft may become Active, Inactive or Failed; Active may become Inactive or Failed; Inactive"
    " may become Active or Failed; Failed may become Active or Inactive; nothing returns to Draft."
)


class PeoplesSchema(WantedSchema):
    """An asset that people keep, as it should be."""

    description = _description(load_default="")
    tags = _tags(load_default=list)


class CreateSchema(PeoplesSchema):
    """A new asset. The registry makes its `id`."""

    status = _status(f"Where it is in its life; Draft unless said. {LIFECYCLE}")

    @ma.pre_load
    def _refuse_identity(self, data: Any, **_: object) -> Any:
        if not isinstance(data, Mapping):
            return data
        peoples = {"managedBy": ManagedBy.USER, "externalRef": None}
        given = {key for key in IDENTITY & data.keys() if data[key] != peoples.get(key, ...)}
        if given:
            raise ma.ValidationError({key: ["Read-only: leave it out."] for key in sorted(given)})
        return {key: value for key, value in data.items() if key not in IDENTITY}


class ReplaceSchema(PeoplesSchema):
    """An asset as it should be.

    What is left out gets its default, except `status`, which stays. What the registry works out
    (`version`, `createdAt`, `updatedAt`, `effectiveStatus`, `causedBy`) may be there and is
    ignored; `id`, `managedBy` and `externalRef` may be there if they are what they were.
    """

    status = _status(f"Where it is in its life; left out, it stays. {LIFECYCLE}")

    @ma.pre_load
    def _drop_identity(self, data: Any, **_: object) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {key: value for key, value in data.items() if key not in IDENTITY}


class PatchSchema(ma.Schema):
    """Changes to an asset: what is left out stays, null resets a field to its default."""

    name = fields.String(metadata={"description": "New name.", "example": "orders-db"})
    type = fields.String(metadata={"description": "New kind.", "enum": list(AssetType)})
    status = fields.String(
        metadata={
            "description": f"Next status. {LIFECYCLE}",
            "enum": list(AssetStatus),
            "example": "Active",
        }
    )
    description = fields.String(
        allow_none=True, metadata={"description": "New description; null empties it."}
    )
    tags = fields.List(
        fields.String(),
        allow_none=True,
        metadata={"description": "All the tags it shall have; null removes them."},
    )
    config = fields.Dict(
        allow_none=True,
        metadata={"description": "Keys to set; a key that is null is removed."},
    )
    secret_ref = fields.Nested(
        SecretRefSchema,
        data_key="secretRef",
        allow_none=True,
        metadata={"description": "New Secret and key; null removes it."},
    )
    depends_on = fields.List(
        fields.String(),
        data_key="dependsOn",
        allow_none=True,
        metadata={"description": "Everything that it shall need; null removes all."},
    )


class UpsertSchema(WantedSchema):
    """An asset as its owner wants it.

    `status`, `description` and `tags` that are left out stay as they are, so that people can
    describe and tag what a controller keeps.
    """

    status = _status(f"Left out: Draft if the asset is new, else it stays. {LIFECYCLE}")
    description = _description()
    tags = _tags()
    managed_by = fields.Enum(
        ManagedBy,
        by_value=fields.String,
        data_key="managedBy",
        load_default=ManagedBy.OPERATOR,
        metadata={
            "description": "Who keeps it; `user` hands it over to people, who may then edit it.",
            "example": "crd",
        },
    )


def checked_ref(source: str, namespace: str, name: str) -> ExternalRef:
    """The external reference of those parts; raises InvalidError for one that can't be."""
    ref = ExternalRef(source, namespace, name)
    if re.fullmatch(REF_PATTERN, str(ref)) is None:
        raise InvalidError(
            [
                Complaint(
                    "",
                    f"{str(ref)!r} is no external reference: source, namespace and name are"
                    " lower-case letters, digits and '-', in the name also '.'",
                )
            ]
        )
    return ref
