"""The JSON of answers, except problems."""

from typing import Any

from marshmallow import fields

from tradingbot_registry.inventory.facets import MAX_TAGS
from tradingbot_registry.inventory.graph import MAX_NEIGHBOURS
from tradingbot_registry.inventory.history import Action
from tradingbot_registry.inventory.picture import MAX_EDGES
from tradingbot_registry.rest.asset_fields import asset_field
from tradingbot_registry.rest.read_only import (
    EXAMPLE_ID,
    AnswerSchema,
    ReferenceSchema,
    moment_field,
    read_only,
)
from tradingbot_registry.rest.requests import LIFECYCLE, SecretRefSchema


class ReachedSchema(ReferenceSchema):
    """An asset in the dependency graph of another."""

    depth = fields.Integer(
        metadata={"description": "Length of the shortest path; 1 is direct.", "example": 1}
    )


class AssetSchema(AnswerSchema):
    """An asset, in full."""

    id = read_only("id")
    name = fields.String(metadata={"description": "Name for people.", "example": "orders-db"})
    type = asset_field("type", checked=False, example="DatabaseConnection")
    status = asset_field(
        "status", checked=False, description=f"Its own status. {LIFECYCLE}", example="Active"
    )
    effective_status = read_only("effective_status")
    caused_by = read_only("caused_by")
    more_causes = read_only("more_causes")
    description = asset_field("description", checked=False)
    tags = asset_field("tags", checked=False, note="Sorted.", example=["env:prod", "team-a"])
    config = asset_field(
        "config",
        checked=False,
        description="Facts about the asset.",
        example={"engine": "postgres", "host": "db.internal", "database": "orders"},
    )
    secret_ref = asset_field("secret_ref", nested=SecretRefSchema, note="null: no credential.")
    managed_by = read_only("managed_by")
    external_ref = read_only("external_ref")
    depends_on = fields.List(
        fields.String(),
        data_key="dependsOn",
        metadata={
            "description": "What it needs: ids of assets, then references that no asset has yet.",
            "example": [EXAMPLE_ID],
        },
    )
    unresolved = read_only("unresolved")
    version = read_only("version")
    created_at = read_only("created_at")
    updated_at = read_only("updated_at")


class AssetPartSchema(AssetSchema):
    """Some fields of an asset: those that were asked for with `fields`."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Document the field as it is: it may be missing."""


class FacetSchema(AnswerSchema):
    """How many assets have a value."""

    value = fields.String(metadata={"description": "The value.", "example": "Active"})
    count = fields.Integer(metadata={"description": "Number of assets with it.", "example": 3})


def _facet(description: str, data_key: str | None = None) -> fields.List[Any]:
    return fields.List(
        fields.Nested(FacetSchema),
        data_key=data_key,
        metadata={"description": f"{description}; the most frequent first."},
    )


class FacetsSchema(AnswerSchema):
    """Numbers of assets."""

    total = fields.Integer(metadata={"description": "Number of assets.", "example": 12})
    type = _facet("Assets by type")
    status = _facet("Assets by their own status")
    effective_status = _facet("Assets by effective status", "effectiveStatus")
    managed_by = _facet("Assets by who manages them", "managedBy")
    tag = _facet(f"Assets by tag, at most {MAX_TAGS} tags")
    more_tags = fields.Boolean(
        data_key="moreTags", metadata={"description": "Whether there are more tags."}
    )


class EdgeSchema(AnswerSchema):
    """A dependency."""

    source = fields.String(
        metadata={"description": "Id of the asset that depends.", "format": "uuid"}
    )
    target = fields.String(metadata={"description": "Id of what it needs.", "format": "uuid"})


class GraphSchema(AnswerSchema):
    """A part of the dependency graph."""

    nodes = fields.List(
        fields.Nested(ReferenceSchema),
        metadata={"description": "Assets; around a root the nearest first, else the oldest."},
    )
    edges = fields.List(
        fields.Nested(EdgeSchema),
        metadata={"description": f"The dependencies among them, at most {MAX_EDGES}."},
    )
    truncated = fields.Boolean(
        metadata={"description": "Whether there are more assets, or more dependencies among them."}
    )


class ChangeSchema(AnswerSchema):
    """A change of an asset."""

    seq = fields.Integer(metadata={"description": "Number of the change.", "example": 17})
    asset_id = fields.String(
        data_key="assetId", metadata={"description": "The asset's id.", "format": "uuid"}
    )
    name = fields.String(metadata={"description": "The asset's name then.", "example": "orders-db"})
    external_ref = fields.String(
        data_key="externalRef",
        allow_none=True,
        metadata={"description": "The asset's external reference, or null."},
    )
    version = fields.Integer(
        metadata={"description": "The asset's version after it; of a deletion, the last one."}
    )
    action = fields.String(
        metadata={"description": "What happened.", "enum": list(Action), "example": "updated"}
    )
    actor = fields.String(
        metadata={"description": "Who did it; `anonymous` without authentication."}
    )
    request_id = fields.String(
        data_key="requestId",
        allow_none=True,
        metadata={"description": "The request's id, also in the log."},
    )
    at = moment_field("Time of the change, UTC.", "at")
    before = fields.Dict(
        allow_none=True,
        metadata={"description": "The fields that were changed, as they were; null: created."},
    )
    after = fields.Dict(
        allow_none=True,
        metadata={"description": "The fields that were changed, as they are; null: deleted."},
    )


class ChangesPageSchema(AnswerSchema):
    """Changes, oldest first."""

    changes = fields.List(
        fields.Nested(ChangeSchema), metadata={"description": "The changes, oldest first."}
    )
    last = fields.Integer(
        metadata={"description": "Number to pass as `since` to get the next ones.", "example": 17}
    )


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
