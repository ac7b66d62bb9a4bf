"""The operations of a batch, as they are documented and loaded."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from tradingbot_registry.rest.asset_fields import REQUIRED, Whole, unique
from tradingbot_registry.rest.blueprint import ref_to
from tradingbot_registry.rest.read_only import EXAMPLE_ID
from tradingbot_registry.rest.requests import (
    DEPENDENCY_PATTERN,
    MAX_DEPENDENCIES,
    CreateSchema,
    PatchSchema,
    depends_on_item,
)
from tradingbot_registry.rest.schema import Schema

MAX_ITEMS = 500


class Operation(StrEnum):
    """What an item does."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


REF = "[A-Za-z0-9._-]{1,64}"
"""The name of a new asset within a request."""


class VersionField(fields.Integer):
    """A whole number from 1; 2.0 is one as well (JSON Schema, 6.1.1), "2" is not."""

    def _validated(self, value: Any) -> int:
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        return super()._validated(whole)


class ObjectField(fields.Field[dict[str, Any]]):
    """A JSON object that the view reads itself."""

    default_error_messages = {"invalid": "Must be an object."}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        return value


def _asset(schema: str, description: str) -> ObjectField:
    return ObjectField(
        required=True,
        error_messages=REQUIRED,
        metadata={"allOf": [ref_to(schema)], "description": description},
    )


def _depends_on(**options: Any) -> fields.List[Any]:
    return fields.List(
        depends_on_item(f"{DEPENDENCY_PATTERN}|#{REF}"),
        data_key="dependsOn",
        validate=[validate.Length(max=MAX_DEPENDENCIES), unique],
        metadata={
            "description": "As elsewhere, or `#ref` of a creation in this request.",
            "uniqueItems": True,
        },
        **options,
    )


class BatchAssetSchema(CreateSchema):
    """A new asset of a batch."""

    depends_on = _depends_on(load_default=list)


class BatchPatchSchema(PatchSchema):
    """The changes of an asset in a batch."""

    depends_on = _depends_on(allow_none=True)


def _op(operation: Operation) -> fields.String:
    return fields.String(
        required=True,
        validate=validate.OneOf([operation.value]),
        metadata={"description": "What to do.", "example": operation.value},
    )


class BatchCreateSchema(Schema):
    """Create an asset."""

    op = _op(Operation.CREATE)
    ref = fields.String(
        validate=Whole(REF, "Must be 1 to 64 letters, digits, '.', '_', '-'."),
        metadata={
            "description": "A name for the asset within this request. `dependsOn` of other items"
            " may have it, as `#ref`. Each only once.",
            "example": "db",
        },
    )
    asset = _asset("BatchAsset", "The asset, as for createAsset.")


class _ExistingSchema(Schema):
    """An operation on an asset that there is."""

    id = fields.UUID(
        required=True,
        error_messages=REQUIRED,
        metadata={"description": "Id of the asset.", "example": EXAMPLE_ID},
    )
    version = VersionField(
        strict=True,
        validate=validate.Range(min=1),
        metadata={"description": "Only if the asset has this version; else 412."},
    )
    force = fields.Boolean(
        truthy={True},
        falsy={False},
        metadata={"description": "As the parameter `force` of patchAsset and deleteAsset."},
    )


class BatchUpdateSchema(_ExistingSchema):
    """Change an asset."""

    op = _op(Operation.UPDATE)
    patch = _asset("BatchPatch", "The changes, as for patchAsset.")


class BatchDeleteSchema(_ExistingSchema):
    """Delete an asset."""

    op = _op(Operation.DELETE)


ITEMS: Mapping[Operation, type[ma.Schema]] = {
    Operation.CREATE: BatchCreateSchema,
    Operation.UPDATE: BatchUpdateSchema,
    Operation.DELETE: BatchDeleteSchema,
}

DOCUMENTED: Mapping[str, type[ma.Schema]] = {
    "BatchAsset": BatchAssetSchema,
    "BatchPatch": BatchPatchSchema,
    **{f"Batch{op.value.capitalize()}": schema for op, schema in ITEMS.items()},
}
"""Schemas of the document that no other one nests."""


class ItemField(fields.Field[dict[str, Any]]):
    """One operation: which keys it has depends on `op`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        if not isinstance(value, dict):
            raise ma.ValidationError("Must be an object.")
        if value.get("op") not in list(Operation):
            raise ma.ValidationError({"op": [f"Must be one of: {', '.join(Operation)}."]})
        op = Operation(value["op"])
        return {**ITEMS[op]().load(value), "op": op}


class BatchSchema(Schema):
    """Operations. Creations are done first, then updates, then deletions."""

    items = fields.List(
        ItemField(metadata={"oneOf": [ref_to(f"Batch{op.capitalize()}") for op in Operation]}),
        required=True,
        error_messages=REQUIRED,
        validate=validate.Length(min=1, max=MAX_ITEMS),
        metadata={"description": f"At most {MAX_ITEMS}; each asset at most once."},
    )
