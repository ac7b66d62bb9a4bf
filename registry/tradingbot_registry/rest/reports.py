"""`/api/v1/reports`: figures that bots report, beside their assets."""

from collections.abc import Mapping
from typing import Any, ClassVar

import marshmallow as ma
from flask import request
from marshmallow import fields, validate
from tradingbot_api.asset import REFERENCE_PATTERN
from tradingbot_api.contract import SIGNED_DECIMAL_PATTERN

from tradingbot_registry.inventory.reports import Figures
from tradingbot_registry.refusals import Complaint, InvalidError, pointer
from tradingbot_registry.rest.asset_fields import REQUIRED, Whole
from tradingbot_registry.rest.blueprint import REPORT_ERRORS, RestBlueprint
from tradingbot_registry.rest.body import JSON, complaints, messages_of, read_json
from tradingbot_registry.rest.query import MAX_PAGE_SIZE, NoQuery, ReportsQuery
from tradingbot_registry.rest.query_fields import MomentField
from tradingbot_registry.rest.read_only import AnswerSchema, moment_field
from tradingbot_registry.rest.request_context import GuardedView, ReadScope, store
from tradingbot_registry.rest.schema import Schema

MAX_REPORTS = MAX_PAGE_SIZE
DAY_PNL = "Profit of the bot's trading day so far, in its quote currency; a loss is negative."

blueprint = RestBlueprint(
    "reports",
    __name__,
    url_prefix="/api/v1",
    description="What bots report. A report does not change the asset.",
)


class ReportSchema(Schema):
    """The last report of a bot."""

    external_ref = fields.String(
        data_key="externalRef",
        required=True,
        error_messages=REQUIRED,
        validate=Whole(REFERENCE_PATTERN, "Must be an external reference source/namespace/name."),
        metadata={
            "description": "External reference of the bot's asset.",
            "example": "tradingbot/default/walker",
        },
    )
    day_pnl = fields.String(
        data_key="dayPnL",
        required=True,
        error_messages=REQUIRED,
        validate=Whole(SIGNED_DECIMAL_PATTERN, "Must be a decimal such as -12.5."),
        metadata={"description": DAY_PNL, "example": "-12.5"},
    )
    at = MomentField(
        required=True,
        error_messages=REQUIRED,
        metadata={
            "description": "When the bot reported it, RFC 3339.",
            "example": "2026-11-24T15:04:05Z",
        },
    )


class PostedReportsSchema(Schema):
    """Reports of several bots."""

    reports = fields.List(
        fields.Nested(ReportSchema),
        required=True,
        error_messages=REQUIRED,
        validate=validate.Length(min=1, max=MAX_REPORTS),
        metadata={"description": f"At most {MAX_REPORTS}; of one asset, the last one counts."},
    )


class DroppedReportsSchema(AnswerSchema):
    """What was not stored."""

    dropped = fields.List(
        fields.String(),
        data_key="unknown",
        metadata={"description": "References that no asset has: their reports were dropped."},
    )


class ReportedSchema(AnswerSchema):
    """The last report of an asset."""

    asset_id = fields.String(
        data_key="assetId", metadata={"description": "The asset's id.", "format": "uuid"}
    )
    day_pnl = fields.String(
        data_key="dayPnL", metadata={"description": DAY_PNL, "example": "-12.5"}
    )
    at = moment_field("When the bot reported it, UTC.", "at")


class ReportedListSchema(AnswerSchema):
    """Reports."""

    reports = fields.List(
        fields.Nested(ReportedSchema),
        metadata={"description": "One for each of the assets that has one, the oldest asset first"},
    )


@blueprint.at("/reports")
class Reports(GuardedView):
    """The reports."""

    verbs: ClassVar = {"GET": ("list",), "POST": ("update",)}
    reads = ReadScope.NAMED_NAMESPACES

    @blueprint.documents(operationId="listReports")
    @blueprint.takes(ReportsQuery, location="query")
    @blueprint.answers(200, ReportedListSchema, description="The reports.")
    @blueprint.refuses()
    def get(self, query: Mapping[str, Any]) -> Any:
        """Get the last reports of assets."""
        return {"reports": store().reads.reports(query["asset"], namespaces=query["namespace"])}

    @blueprint.documents(operationId="postReports")
    @blueprint.takes(NoQuery, location="query")
    @blueprint.reads(PostedReportsSchema)
    @blueprint.answers(200, DroppedReportsSchema, description="The reports were stored.")
    @blueprint.refuses(REPORT_ERRORS)
    def post(self, _: Any) -> Any:
        """Replace the last reports of assets.

        They are not changes of the assets: versions, entity tags and history stay as they are.
        """
        reports = _loaded(read_json(request, JSON))
        return {"dropped": store().writes.report(reports)}


def _loaded(document: Any) -> dict[str, Figures]:
    items = document.get("reports") if isinstance(document, dict) else None
    # The schema reads each item before it counts them.
    if isinstance(items, list) and len(items) > MAX_REPORTS:
        raise InvalidError(
            [Complaint(pointer("reports"), f"May have at most {MAX_REPORTS} items.")]
        )
    try:
        loaded = PostedReportsSchema().load(document)["reports"]
    except ma.ValidationError as error:
        raise InvalidError([*complaints(messages_of(error))]) from error
    return {item["external_ref"]: Figures(item["day_pnl"], item["at"]) for item in loaded}
