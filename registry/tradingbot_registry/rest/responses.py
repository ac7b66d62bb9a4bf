"""The JSON of answers, except problems."""

from datetime import datetime
from typing import Any

import marshmallow as ma
from marshmallow import fields

from tradingbot_registry.inventory.graph import MAX_CAUSES, MAX_NEIGHBOURS
from tradingbot_registry.inventory.record import EffectiveStatus, ManagedBy
from tradingbot_registry.rest.asset_fields import asset_field
from tradingbot_registry.rest.requests import EXAMPLE_ID, EXAMPLE_REF, LIFECYCLE, SecretRefSchema
from tradingbot_registry.rfc3339 import text_of


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


def _moment(description: str, data_key: str) -> MomentField:
    return MomentField(
        data_key=data_key,
        metadata={
            "description": description,
            "example": "2026-11-24T15:04:05.123456Z",
        },
    )


class AnswerSchema(ma.Schema):
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


class ReachedSchema(ReferenceSchema):
    """An asset in the dependency graph of another."""

    depth = fields.Integer(
        metadata={"description": "Length of the shortest path; 1 is direct.", "example": 1}
    )


class AssetSchema(AnswerSchema):
    """An asset, in full."""

    id = fields.String(
        metadata={
            "description": "Public identifier, assigned by the registry.",
            "format": "uuid",
            "example": EXAMPLE_ID,
        }
    )
    name = fields.String(metadata={"description": "Name for people.", "example": "orders-db"})
    type = asset_field("type", checked=False, example="DatabaseConnection")
    status = asset_field(
        "status", checked=False, description=f"Its own status. {LIFECYCLE}", example="Active"
    )
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
    description = asset_field("description", checked=False)
    tags = asset_field("tags", checked=False, note="Sorted.", example=["env:prod", "team-a"])
    config = asset_field(
        "config",
        checked=False,
        description="Facts about the asset.",
        example={"engine": "postgres", "host": "db.internal", "database": "orders"},
    )
    secret_ref = asset_field("secret_ref", nested=SecretRefSchema, note="null: no credential.")
    managed_by = fields.String(
        data_key="managedBy",
        metadata={
            "description": "Who manages the asset: users, an AssetRegistry or the operator.",
            "enum": list(ManagedBy),
            "example": "user",
        },
    )
    external_ref = fields.String(
        data_key="externalRef",
        allow_none=True,
        metadata={
            "description": "External reference, `source/namespace/name`; null for assets of users.",
            "example": EXAMPLE_REF,
        },
    )
    depends_on = fields.List(
        fields.String(),
        data_key="dependsOn",
        metadata={
            "description": "What it needs: ids of assets, then references that no asset has yet.",
            "example": [EXAMPLE_ID],
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
    created_at = _moment("Time of creation, UTC.", "createdAt")
    updated_at = _moment("Time of the last change, UTC.", "updatedAt")


class DeletionSchema(AnswerSchema):
    """What a deletion would do."""

    asset = fields.Nested(ReferenceSchema, metadata={"description": "The asset to delete."})
    allowed = fields.Boolean(metadata={"description": "Whether it would be deleted."})
    dependents = fields.List(
        fields.Nested(ReferenceSchema),
        metadata={
            "description": "Assets that depend on it directly, oldest first, at most"
            f" {MAX_NEIGHBOURS}: they block the deletion, or with force=true lose this dependency."
        },
    )
    total = fields.Integer(
        metadata={"description": "Number of assets that depend on it directly.", "example": 1}
    )
