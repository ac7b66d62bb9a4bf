"""The JSON that the API answers with, problems aside."""

from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
from marshmallow import fields
from tradingbot_api.asset import AssetStatus, AssetType

from tradingbot_registry.models import TIME_FORMAT
from tradingbot_registry.record import EffectiveStatus, ManagedBy
from tradingbot_registry.rest.wanted import EXAMPLE_ID, EXAMPLE_REF, LIFECYCLE, SecretRefSchema


class MomentField(fields.Field[datetime]):
    """A moment, as RFC 3339 text of fixed width."""

    def _serialize(
        self,
        value: datetime | None,
        attr: str | None,  # noqa: ARG002
        obj: Any,  # noqa: ARG002
        **_: Any,
    ) -> str | None:
        return None if value is None else value.astimezone(UTC).strftime(TIME_FORMAT)


def _moment(description: str, data_key: str) -> MomentField:
    return MomentField(
        data_key=data_key,
        metadata={
            "description": description,
            "example": "2026-11-24T15:04:05.123456Z",
        },
    )


class ReferenceSchema(ma.Schema):
    """An asset, named."""

    id = fields.String(metadata={"description": "Its id.", "format": "uuid"})
    name = fields.String(metadata={"description": "Its name.", "example": "orders-db"})
    type = fields.String(metadata={"description": "Its kind.", "example": "DatabaseConnection"})
    status = fields.String(metadata={"description": "Its own status.", "example": "Failed"})
    external_ref = fields.String(
        data_key="externalRef",
        allow_none=True,
        metadata={"description": "Its name where it is kept; null for people's assets."},
    )


class ReachedSchema(ReferenceSchema):
    """An asset in the dependency graph of another."""

    depth = fields.Integer(
        metadata={"description": "Steps to it on the shortest way; 1 is direct.", "example": 1}
    )


class AssetSchema(ma.Schema):
    """An asset, in full."""

    id = fields.String(
        metadata={
            "description": "Public key, made by the registry.",
            "format": "uuid",
            "example": EXAMPLE_ID,
        }
    )
    name = fields.String(metadata={"description": "What people call it.", "example": "orders-db"})
    type = fields.String(
        metadata={
            "description": "Kind of infrastructure.",
            "enum": list(AssetType),
            "example": "DatabaseConnection",
        }
    )
    status = fields.String(
        metadata={
            "description": f"Its own status. {LIFECYCLE}",
            "enum": list(AssetStatus),
            "example": "Active",
        }
    )
    effective_status = fields.String(
        data_key="effectiveStatus",
        metadata={
            "description": "Failed if its own status is; else Degraded if anything it depends on,"
            " directly or not, is Failed or Inactive; else its own status. Worked out on read.",
            "enum": list(EffectiveStatus),
            "example": "Degraded",
        },
    )
    caused_by = fields.List(
        fields.Nested(ReferenceSchema),
        data_key="causedBy",
        metadata={"description": "The Failed and Inactive assets that it depends on."},
    )
    description = fields.String(metadata={"description": "What it is, for a person."})
    tags = fields.List(
        fields.String(),
        metadata={
            "description": "Words to find it by, sorted.",
            "example": ["env:prod", "team-a"],
        },
    )
    config = fields.Dict(
        metadata={
            "description": "Facts about it.",
            "example": {"engine": "postgres", "host": "db.internal", "database": "orders"},
        }
    )
    secret_ref = fields.Nested(
        SecretRefSchema,
        data_key="secretRef",
        allow_none=True,
        metadata={"description": "The Secret and key that hold its credential; null without."},
    )
    managed_by = fields.String(
        data_key="managedBy",
        metadata={
            "description": "Who keeps it: people, the AssetRegistry resource or the operator.",
            "enum": list(ManagedBy),
            "example": "user",
        },
    )
    external_ref = fields.String(
        data_key="externalRef",
        allow_none=True,
        metadata={
            "description": "Its name where it is kept, `source/namespace/name`; null for"
            " people's assets.",
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
    version = fields.Integer(
        metadata={"description": "Counts the changes; the first is 1.", "example": 1}
    )
    created_at = _moment("When it was added, UTC.", "createdAt")
    updated_at = _moment("When it was last changed, UTC.", "updatedAt")


class DeletionSchema(ma.Schema):
    """What a deletion would do."""

    asset = fields.Nested(ReferenceSchema, metadata={"description": "The asset in question."})
    allowed = fields.Boolean(metadata={"description": "Whether it would be deleted."})
    dependents = fields.List(
        fields.Nested(ReferenceSchema),
        metadata={
            "description": "Assets that depend on it directly: they block the deletion, or with"
            " force=true lose this dependency."
        },
    )
