"""Headers that lead from one page to the next."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from flask import request

from tradingbot_registry.inventory.filters import MANY, Listing
from tradingbot_registry.inventory.graph import Walk, WalkPage
from tradingbot_registry.inventory.listing import Page
from tradingbot_registry.rest.cursor import encode

SAFE = "!$'()*,/:;?@"
"""Characters that a query may have as they are (RFC 3986), except `+`, `&` and `=`."""


def _headers(summary: str, example: Mapping[str, Any], links: str) -> dict[str, Any]:
    return {
        "X-Pagination": {
            "description": f"JSON: {summary}.",
            "schema": {"type": "string", "example": json.dumps(example)},
        },
        "Link": {"description": f"{links} (RFC 8288).", "schema": {"type": "string"}},
    }


HEADERS = _headers(
    "page_size; next_cursor, null on the last page; without `cursor` also page, total and"
    f" total_pages, which count up to {MANY} assets, and more, whether there are more than these",
    {
        "page": 1,
        "page_size": 50,
        "total": 120,
        "more": False,
        "total_pages": 3,
        "next_cursor": "WyJrN2pC",
    },
    "The first, previous, next and last page; with `cursor` the next one",
)
WALK_HEADERS = _headers(
    "page_size, total, and next_cursor, null on the last page",
    {"page_size": 500, "total": 1200, "next_cursor": "WyJrN2pC"},
    "The next page",
)


def identity(wanted: Listing | Walk) -> Listing | Walk:
    """Return what a cursor is bound to: the query, whatever its page."""
    if isinstance(wanted, Listing):
        return replace(wanted, page=1, page_size=1, after=None, with_causes=True, exact_total=False)
    return replace(wanted, page_size=1, after=None)


def of_list(page: Page, listing: Listing) -> dict[str, str]:
    """Return the headers for a page of the inventory."""
    cursor = None if page.end is None else encode(page.end, identity(listing))
    if page.total is None:
        return _paged({"page_size": page.page_size, "next_cursor": cursor}, _next(cursor))
    summary = {
        "page": page.page,
        "page_size": page.page_size,
        "total": page.total,
        "more": page.more,
        "total_pages": page.pages,
        "next_cursor": cursor,
    }
    places = {"first": 1, "prev": page.page - 1}
    if page.end is not None:
        places["next"] = page.page + 1
    if not page.more:
        places["last"] = page.pages
    links = {
        relation: {"page": number}
        for relation, number in places.items()
        if number >= 1 and (page.more or number <= page.pages)
    }
    return _paged(summary, links)


def of_walk(page: WalkPage, wanted: Walk, bound_to: Any) -> dict[str, str]:
    """Return the headers for a page of a traversal."""
    cursor = None if page.end is None else encode(page.end, bound_to)
    summary = {"page_size": wanted.page_size, "total": page.total, "next_cursor": cursor}
    return _paged(summary, _next(cursor))


def _next(cursor: str | None) -> dict[str, dict[str, Any]]:
    return {} if cursor is None else {"next": {"cursor": cursor}}


def _paged(summary: Mapping[str, Any], links: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    headers = {"X-Pagination": json.dumps(summary)}
    if links:
        headers["Link"] = ", ".join(
            f'<{url}>; rel="{relation}"'
            for relation, url in zip(links, _urls(links.values()), strict=True)
        )
    return headers


def _urls(places: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the URL of this request with another place, of which it has one at most."""
    query = [pair for pair in request.args.items(multi=True) if pair[0] not in {"page", "cursor"}]
    base = f"{quote(request.path)}?{urlencode(query, safe=SAFE)}{'&' if query else ''}"
    for place in places:
        yield base + urlencode(place)
