"""The fields of an asset that a request does not set.

Answers have them. A request may have them too, so that an asset can be read, edited and put back:
what the registry computes is ignored, and what is set at creation must be as it is.
"""

from datetime import datetime
from typing import Any

import marshmallow as ma
from marshmallow import fields

from tradingbot_registry.inventory.graph import MAX_CAUSES
from tradingbot_registry.inventory.record import EffectiveStatus, ManagedBy
from tradingbot_registry.rest.schema import Schema
from tradingbot_registry.rfc3339 import text_of

EXAMPLE_ID = "7f0f3c1e-6f0a-4a54-9d6b-0d6f3c1b2a11"
EXAMPLE_REF = "crd/default/registry.orders-db"


class MomentField(fields.Field[datetime]):
    """A time, as RFC 3339 text of fixed width."""

    def _serialize(
        self,
        value: datetime | None,
        attr: str | None,  # noqa: ARG002
        obj: Any,  # noqa: ARG002
        **_: Any,
    ) -> str | None:
        return None if value is None else text_of(value)


def moment_field(description: str, data_key: str) -> MomentField:
    """Return the field of a time in an answer."""
    return MomentField(
        data_key=data_key,
        metadata={
            "description": description,
            "example": "2026-11-24T15:04:05.123456Z",
        },
    )


class AnswerSchema(Schema):
    """An object of answers: it has all of its fields, always."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:  # noqa: ARG002
        """Document the field as required."""
        field_obj.required = True


class ReferenceSchema(AnswerSchema):
    """An asset, named."""

    id = fields.String(metadata={"description": "Its id.", "format": "uuid"})
    name = fields.String(metadata={"description": "Its name.", "example": "orders-db"})
    type = fields.String(metadata={"description": "Its kind.", "example": "DatabaseConnection"})
    status = fields.String(metadata={"description": "Its own status.", "example": "Failed"})
    external_ref = fields.String(
        data_key="externalRef",
        allow_none=True,
        metadata={"description": "External reference; null for assets of users."},
    )


class Identity(Schema):
    """What an asset is, for ever."""

    id = fields.String(
        metadata={
            "description": "Public identifier, assigned by the registry.",
            "format": "uuid",
            "example": EXAMPLE_ID,
        }
    )
    external_ref = fields.String(
        data_key="externalRef",
        allow_none=True,
        metadata={
            "description": "External reference, `source/namespace/name`; null for assets of users.",
            "example": EXAMPLE_REF,
        },
    )


class Owner(Schema):
    """Who manages an asset."""

    managed_by = fields.String(
        data_key="managedBy",
        metadata={
            "description": "Who manages the asset: users, an AssetRegistry or the operator.",
            "enum": list(ManagedBy),
            "example": "user",
        },
    )


class Computed(Schema):
    """What the registry computes."""

    effective_status = fields.String(
        data_key="effectiveStatus",
        metadata={
            "description": "Failed if its own status is; else Degraded if anything it depends on,"
            " directly or not, is Failed or Inactive; else its own status. Computed on read.",
            "enum": list(EffectiveStatus),
            "example": "Degraded",
        },
    )
    caused_by = fields.List(
        fields.Nested(ReferenceSchema),
        data_key="causedBy",
        metadata={
            "description": "The Failed and Inactive assets that it depends on, oldest first; at"
            f" most {MAX_CAUSES}."
        },
    )
    more_causes = fields.Boolean(
        data_key="moreCauses",
        metadata={
            "description": "Whether there are more than `causedBy` lists; /dependencies with"
            " `status=Failed&status=Inactive` lists all."
        },
    )
    unresolved = fields.List(
        fields.String(),
        metadata={
            "description": "Entries of `dependsOn` that match no asset: not created yet, or deleted"
            " by their owner.",
            "example": [],
        },
    )
    version = fields.Integer(
        metadata={"description": "Number of the version, from 1.", "example": 1}
    )
    created_at = moment_field("Time of creation, UTC.", "createdAt")
    updated_at = moment_field("Time of the last change, UTC.", "updatedAt")


def read_only(name: str) -> fields.Field[Any]:
    """Return the field with this attribute, for a schema that has it in a place of its own."""
    for schema in (Identity, Owner, Computed):
        declared: dict[str, fields.Field[Any]] = schema._declared_fields  # noqa: SLF001
        if name in declared:
            return declared[name]
    raise KeyError(name)


def names(*schemas: type[ma.Schema]) -> tuple[str, ...]:
    """Return the attributes of the fields of these schemas."""
    return tuple(name for schema in schemas for name in schema().fields)


def keys(*schemas: type[ma.Schema]) -> frozenset[str]:
    """Return the JSON keys of the fields of these schemas."""
    return frozenset(
        field.data_key or name for schema in schemas for name, field in schema().fields.items()
    )


COMPUTED = keys(Computed)
"""Fields that the registry computes. A body may have them, and they are ignored."""

IDENTITY = keys(Identity, Owner)
"""Fields that are set at creation. A body may have them and must not change them."""
