"""Query parameters. An unknown one is an error: a typo must not widen a filter."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate
from tradingbot_api.asset import REFERENCE_PATTERN, AssetStatus, AssetType

from tradingbot_registry.inventory.filters import MANY, Listing, Sort
from tradingbot_registry.inventory.graph import Direction
from tradingbot_registry.inventory.listing import SORT_COLUMNS
from tradingbot_registry.inventory.record import EffectiveStatus, ManagedBy
from tradingbot_registry.rest.asset_fields import NO_NUL, Whole
from tradingbot_registry.rest.cursor import MAX_CURSOR
from tradingbot_registry.rest.query_fields import MomentField, NumberField, SortField
from tradingbot_registry.rest.responses import AssetSchema
from tradingbot_registry.rest.schema import Schema

MAX_PAGE_SIZE = 500
MAX_PAGE = 1_000_000
MAX_DEPTH = 1_000_000
MAX_GRAPH = 5000
"""Assets of one graph. Drawing programs become slow long before."""
MAX_WAIT = 30
"""Seconds: less than proxies commonly wait for an answer."""

ASSET_FIELDS = tuple(field.data_key or name for name, field in AssetSchema().fields.items())
CAUSE_FIELDS = frozenset({"effectiveStatus", "causedBy", "moreCauses"})
"""Fields that take a traversal of the dependencies."""

_FIELD = "|".join(ASSET_FIELDS)
_KEY = f"-?({'|'.join(SORT_COLUMNS)})"


def _any_of(kind: Any, description: str) -> fields.List[Any]:
    return fields.List(
        fields.Enum(kind, by_value=fields.String),
        load_default=list,
        metadata={"description": f"{description} Repeat it for more."},
    )


class Query(Schema):
    """Parameters of a call."""

    error_messages = {"unknown": "Unknown parameter."}  # noqa: RUF012

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:  # noqa: ARG002
        """Take and document no null, as the default None would: a query has texts alone."""
        field_obj.allow_none = False
        if field_obj.load_default is None:
            field_obj.load_default = lambda: None  # apispec documents no default that is called


CURSOR = fields.String(
    load_default=None,
    validate=validate.Length(max=MAX_CURSOR),
    metadata={
        "description": "The page behind this one: `next_cursor` of X-Pagination. Filters and order"
        " must be the same.",
        "pattern": "^[A-Za-z0-9_-]+$",
    },
)


NAMESPACE = REFERENCE_PATTERN.split("/")[1]
MAX_NAMESPACES = 50


def _namespaces() -> fields.List[Any]:
    return fields.List(
        fields.String(validate=Whole(NAMESPACE, "Must be the name of a namespace.")),
        load_default=list,
        validate=validate.Length(max=MAX_NAMESPACES),
        metadata={
            "description": "Only what readers of this namespace see: the assets whose external"
            " reference names it. Needs the verb in this namespace alone. Repeat it for more."
        },
    )


class FieldsField(fields.String):
    """Names of fields, separated by commas."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        names = super()._deserialize(value, attr, data, **kwargs).split(",")
        unknown = [name for name in names if name not in ASSET_FIELDS]
        if unknown:
            raise ma.ValidationError(
                f"Not fields of an asset: {', '.join(unknown[:10])}; there are"
                f" {', '.join(ASSET_FIELDS)}."
            )
        return tuple(dict.fromkeys(names))


class FilterQuery(Query):
    """Filters. All must match."""

    type = _any_of(AssetType, "Only assets of this type.")
    status = _any_of(AssetStatus, "Only assets with this status.")
    effective_status = _any_of(EffectiveStatus, "Only assets with this effective status.")
    managed_by = _any_of(ManagedBy, "Only assets with this manager.")
    tag = fields.List(
        fields.String(metadata=NO_NUL),
        load_default=list,
        metadata={
            "description": "Only assets with this tag. Repeated: with all of them.",
            "example": ["env:prod"],
        },
    )
    any_tag = fields.List(
        fields.String(metadata=NO_NUL),
        load_default=list,
        metadata={"description": "Only assets with this tag. Repeated: with any of them."},
    )
    q = fields.String(
        load_default=None,
        validate=validate.Length(max=200),
        metadata={
            **NO_NUL,
            "description": "Only assets with this text in name or description, in upper or"
            " lower case.",
        },
    )
    updated_since = MomentField(
        load_default=None,
        metadata={
            "description": "Only assets changed at or after this moment, RFC 3339 with offset.",
            "format": "date-time",
        },
    )
    external_ref_prefix = fields.String(
        load_default=None,
        validate=validate.Length(max=400),
        metadata={
            **NO_NUL,
            "description": "Only assets whose external reference has this prefix: those of one"
            " owner.",
            "example": "crd/default/registry.",
        },
    )
    namespace = _namespaces()

    @ma.post_load
    def _listing(self, data: dict[str, Any], **_: object) -> Any:
        parts: dict[str, Any] = {
            key: tuple(dict.fromkeys(value)) if isinstance(value, list) else value
            for key, value in data.items()
        }
        return self.typed(parts)

    def typed(self, parts: dict[str, Any]) -> Any:
        """Return what the view takes."""
        return Listing(**parts)


@dataclass(frozen=True, slots=True)
class ListRequest:
    """A page of the inventory, as it is asked for."""

    listing: Listing
    cursor: str | None
    fields: tuple[str, ...] | None


class ListQuery(FilterQuery):
    """Filter, order and page."""

    sort = SortField(
        load_default=(Sort("created_at"),),
        metadata={
            "description": f"Order: {', '.join(SORT_COLUMNS)}; by commas, `-` for descending.",
            "pattern": f"^{_KEY}(,{_KEY})*$",
            "default": "created_at",
        },
    )
    page = NumberField(
        load_default=None,
        validate=validate.Range(min=1, max=MAX_PAGE),
        metadata={
            "description": "Number of the page, from 1, which is the default without `cursor`."
            " What is created or deleted meanwhile moves the pages; with `cursor` it does not.",
        },
    )
    page_size = NumberField(
        load_default=50,
        validate=validate.Range(min=1, max=MAX_PAGE_SIZE),
        metadata={"description": "Assets per page."},
    )
    exact_total = fields.Boolean(
        load_default=False,
        metadata={
            "description": f"Count all assets that match, also beyond {MANY}. That takes a time"
            " which grows with their number."
        },
    )
    cursor = CURSOR
    fields_ = FieldsField(
        data_key="fields",
        load_default=None,
        metadata={
            "description": "Only these fields of each asset, separated by commas.",
            "pattern": f"^({_FIELD})(,({_FIELD}))*$",
            "example": "id,name,effectiveStatus",
        },
    )

    def typed(self, parts: dict[str, Any]) -> ListRequest:
        """Return the page that is asked for, its cursor not yet read."""
        cursor, shown, page = parts.pop("cursor"), parts.pop("fields_"), parts.pop("page")
        if cursor is not None and page is not None:
            raise ma.ValidationError("Leave it out if there is a cursor.", "page")
        with_causes = shown is None or not CAUSE_FIELDS.isdisjoint(shown)
        listing = Listing(**parts, page=page or 1, with_causes=with_causes)
        return ListRequest(listing, cursor, shown)


def _flag(description: str) -> fields.Boolean:
    return fields.Boolean(load_default=False, metadata={"description": description})


FORCE_STATUS = _flag("Become Inactive even if Active assets depend on it; they become Degraded.")
FORCE_DELETE = _flag("Delete it even if assets depend on it; they lose this dependency.")


class NoQuery(Query):
    """No parameters."""


class WriteQuery(Query):
    """Options of a change."""

    force = FORCE_STATUS


class UpsertQuery(WriteQuery):
    """Options of a change by the owner."""

    blocked_by_prefix = fields.String(
        load_default="",
        validate=validate.Length(max=400),
        metadata={
            **NO_NUL,
            "description": "Active assets that depend on it prevent it from becoming Inactive only"
            " if their external reference has this prefix: an owner keeps its own assets"
            " consistent, whatever others depend on.",
            "example": "crd/default/registry.",
        },
    )


class OwnersDeleteQuery(Query):
    """Options of a deletion by the owner."""

    force = FORCE_DELETE
    unresolve = _flag(
        "Delete it even if others depend on it: their dependency becomes an unresolved reference,"
        " and a dependency again once an asset has that reference."
    )


class DeleteQuery(Query):
    """Options of a deletion."""

    force = FORCE_DELETE
    dry_run = _flag("Delete nothing; return what the deletion would do.")


MAX_NUMBER = 999_999_999


def _limit() -> NumberField:
    return NumberField(
        load_default=100,
        validate=validate.Range(min=1, max=MAX_PAGE_SIZE),
        metadata={"description": "Maximum number of changes."},
    )


class HistoryQuery(Query):
    """A part of an asset's history."""

    since = NumberField(
        load_default=0,
        validate=validate.Range(min=0, max=MAX_NUMBER),
        metadata={
            "description": "Only changes after this one: `last` of an earlier answer; 0 for all"
            " that are kept."
        },
    )
    limit = _limit()


class ChangesQuery(Query):
    """A part of the changes."""

    since = NumberField(
        load_default=None,
        validate=validate.Range(min=0, max=MAX_NUMBER),
        metadata={
            "description": "Only changes after this one: `last` of an earlier answer. 0 for all, if"
            " all are kept; else 410. Without it, changes from now on: none, and the `last` to"
            " follow from."
        },
    )
    limit = _limit()
    wait = NumberField(
        load_default=0,
        validate=validate.Range(min=0, max=MAX_WAIT),
        metadata={
            "description": "Seconds to wait for a change if there is none after `since` yet."
        },
    )
    namespace = _namespaces()


class ReportsQuery(Query):
    """Whose reports."""

    asset = fields.List(
        fields.UUID(),
        required=True,
        error_messages={"required": "Required value."},
        validate=validate.Length(min=1, max=MAX_PAGE_SIZE),
        metadata={
            "description": "Id of an asset, such as those of a page of the list. Repeat it for"
            f" more, at most {MAX_PAGE_SIZE}."
        },
    )
    namespace = _namespaces()


class GraphFormat(StrEnum):
    """How a graph is written."""

    JSON = "json"
    DOT = "dot"
    MERMAID = "mermaid"


class GraphQuery(Query):
    """Which part of the graph, and how."""

    root = fields.UUID(
        load_default=None,
        metadata={"description": "Only what is around the asset with this id; else all assets."},
    )
    depth = NumberField(
        load_default=None,
        validate=validate.Range(min=1, max=MAX_DEPTH),
        metadata={"description": "Maximum number of steps from the root; default: no limit."},
    )
    direction = fields.Enum(
        Direction,
        by_value=fields.String,
        load_default=None,
        metadata={"description": "Only dependencies, or only dependents, of the root."},
    )
    limit = NumberField(
        load_default=MAX_PAGE_SIZE,
        validate=validate.Range(min=1, max=MAX_GRAPH),
        metadata={"description": "Maximum number of assets: the nearest, else the oldest."},
    )
    format = fields.Enum(
        GraphFormat,
        by_value=fields.String,
        load_default=GraphFormat.JSON,
        metadata={"description": "JSON, a graph of Graphviz, or a flowchart of Mermaid."},
    )
    namespace = _namespaces()

    @ma.validates_schema
    def _need_root(self, data: dict[str, Any], **_: object) -> None:
        for name in ("depth", "direction"):
            if data.get(name) is not None and data.get("root") is None:
                raise ma.ValidationError("Needs a root.", name)


class WalkQuery(Query):
    """Options of a traversal."""

    depth = NumberField(
        load_default=None,
        validate=validate.Range(min=1, max=MAX_DEPTH),
        metadata={"description": "Maximum number of steps; default: no limit."},
    )
    type = _any_of(AssetType, "Show only assets of this type; the traversal includes all.")
    status = _any_of(AssetStatus, "Show only assets with this status; the traversal includes all.")
    page_size = NumberField(
        load_default=MAX_PAGE_SIZE,
        validate=validate.Range(min=1, max=MAX_PAGE_SIZE),
        metadata={"description": "Assets per page."},
    )
    cursor = CURSOR
    namespace = _namespaces()
