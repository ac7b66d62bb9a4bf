"""The JSON of problems, as it is documented."""

from typing import Any

from marshmallow import fields
from tradingbot_api.asset import AssetStatus

from tradingbot_registry.inventory.record import ManagedBy
from tradingbot_registry.refusals import InvalidError
from tradingbot_registry.rest.problems import KINDS
from tradingbot_registry.rest.read_only import EXAMPLE_REF, ReferenceSchema
from tradingbot_registry.rest.schema import Schema


class ComplaintSchema(Schema):
    """One thing that is wrong with a request."""

    pointer = fields.String(
        metadata={
            "description": "Where in the body, as a JSON pointer (RFC 6901).",
            "example": "/config/host",
        }
    )
    parameter = fields.String(
        metadata={"description": "Or which query parameter.", "example": "page_size"}
    )
    detail = fields.String(
        required=True, metadata={"description": "What is wrong.", "example": "Required value"}
    )


def _assets(description: str) -> fields.List[Any]:
    return fields.List(fields.Nested(ReferenceSchema), metadata={"description": description})


def _status(description: str) -> dict[str, Any]:
    return {"description": description, "enum": list(AssetStatus)}


class ProblemSchema(Schema):
    """A problem (RFC 9457). The fields that are not required belong to some types."""

    type = fields.String(
        required=True,
        metadata={
            "description": "Type of the problem: a stable name to compare, not a URL to fetch."
            " `about:blank` says no more than the status.",
            "example": KINDS[InvalidError].type,
        },
    )
    title = fields.String(
        required=True, metadata={"description": "Title of the type.", "example": "Invalid"}
    )
    status = fields.Integer(
        required=True, metadata={"description": "The HTTP status.", "example": 422}
    )
    detail = fields.String(
        required=True, metadata={"description": "What is wrong here, and what to do."}
    )
    instance = fields.String(
        required=True, metadata={"description": "The path asked for.", "example": "/api/v1/assets"}
    )
    request_id = fields.String(
        required=True,
        metadata={
            "description": "Names the request in the server's log; also in X-Request-ID, and"
            " taken from there if the client sends one."
        },
    )
    item = fields.Integer(
        metadata={"description": "Of a batch: the place of the refused operation, from 0."}
    )
    errors = fields.List(
        fields.Nested(ComplaintSchema),
        metadata={"description": "`invalid`: everything that is wrong, at once."},
    )
    oldest = fields.Integer(
        metadata={"description": "`history-gone`: the smallest `since` that is still answered."}
    )
    cycle = _assets("`dependency-cycle`: the first assets of the cycle, in order.")
    length = fields.Integer(
        metadata={"description": "`dependency-cycle`: the number of assets on the cycle."}
    )
    blockers = _assets("`has-dependents`: the oldest dependents that prevent the change.")
    total = fields.Integer(
        metadata={"description": "`has-dependents`: the number of all such dependents."}
    )
    from_ = fields.String(
        data_key="from", metadata=_status("`forbidden-transition`: the status of the asset.")
    )
    to = fields.String(metadata=_status("`forbidden-transition`: the status asked for."))
    allowed = fields.List(
        fields.String(metadata={"enum": list(AssetStatus)}),
        metadata={"description": "`forbidden-transition`: what the asset may become."},
    )
    unresolved = fields.List(
        fields.String(),
        metadata={"description": "`dependencies-not-ready`: references that no asset has."},
    )
    drafts = _assets("`dependencies-not-ready`: the dependencies that are still Draft.")
    managed_by = fields.String(
        data_key="managedBy",
        metadata={
            "description": "`managed-asset`: who manages the asset.",
            "enum": list(ManagedBy),
        },
    )
    external_ref = fields.String(
        data_key="externalRef",
        allow_none=True,
        metadata={
            "description": "`managed-asset`: the asset's external reference.",
            "example": EXAMPLE_REF,
        },
    )
