"""What is measured of the registry alone: pages, paging, dependents, starts, and its promises."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.common.series import Series, quantile
from bench.registry.databases import Seeded
from bench.registry.load import get, send
from bench.registry.parity import COUNTED, ask
from bench.registry.servers import Server, registry, running
from bench.registry.workload import ASSETS, FILTERS, PAGE_SIZE, dependents, list_path

DEEP = 1000
"""The page whose place a cursor is taken to."""
STARTS = 3
_UPSERT_SECONDS = 5
"""Less than the registry waits for a write lock."""
FIELDS = ("name", "type", "status", "config", "secretRef", "managedBy", "dependsOn")
"""What an owner writes of its asset."""

Figures = dict[str, float]


def measure(server: Server, database: Seeded, *, pages: int, seconds: float) -> dict[str, Any]:
    """Measure the registry with one client: so many pages of each filter, or for so long."""
    filters = {
        name: _times(server, cycle([get(list_path(query)) for query in queries]), pages, seconds)
        for name, queries in FILTERS.items()
    }
    reached = _times(server, dependents(database.size), pages, seconds)
    return {
        "pages": {name: _quantiles(times) for name, times in filters.items()},
        "paging": _paging(server, pages, seconds),
        "dependents": _quantiles(reached),
        "totals_exact": float(_totals_are_exact(server, database)),
        "upsert_without_write_lock": float(_upsert_takes_no_lock(server, database)),
        "peak_rss_mb": round(server.usage().peak_rss_mb, 1),
    }


def cold_start(database: Seeded, *, core: int, log: Path) -> Series:
    """Return the seconds from the start of the process until it answers with an asset."""
    found = Series()
    for _ in range(STARTS):
        began = time.monotonic()
        with running(registry(database.url), core=core, log=log) as server:
            ask(server, f"{ASSETS}?page_size=1")
            found.values.append(time.monotonic() - began)
    return found


def _times(server: Server, requests: Iterator[bytes], most: int, seconds: float) -> list[float]:
    send(server.port, islice(requests, 3), connections=1, seconds=seconds)
    return send(server.port, islice(requests, most), connections=1, seconds=seconds).latencies


def _quantiles(times: list[float]) -> Figures:
    return {
        "p50_ms": round(quantile(times, 50), 2),
        "p99_ms": round(quantile(times, 99), 2),
        "requests": len(times),
    }


def _paging(server: Server, most: int, seconds: float) -> dict[str, Any]:
    """Measure the first page and one far behind, both with a cursor."""
    near = _cursor(server, PAGE_SIZE, 1)
    # A cursor is a place, whatever the size of the pages before it.
    far = _cursor(server, 500, PAGE_SIZE * (DEEP - 1) // 500)
    found: dict[str, Any] = {"page": DEEP if far else None}
    for name, cursor in (("first", near), ("deep", far)):
        if cursor is not None:
            path = get(list_path(f"cursor={cursor}"))
            found[name] = _quantiles(_times(server, cycle([path]), most, seconds))
    return found


def _cursor(server: Server, page_size: int, pages: int) -> str | None:
    """Return the cursor behind so many pages, or None if there are fewer."""
    cursor = None
    for _ in range(pages):
        query = "fields=id" + (f"&cursor={cursor}" if cursor else "")
        headers = ask(server, list_path(query, page_size=page_size))[2]
        cursor = json.loads(headers["X-Pagination"])["next_cursor"]
        if cursor is None:
            return None
    return cursor


COUNTS: Mapping[str, str] = {
    "": "1 = 1",
    "status=Failed": "status = 'Failed'",
    "type=ObjectStore": "type = 'ObjectStore'",
    "managed_by=operator": "managed_by = 'operator'",
    "tag=system:1": "seq IN (SELECT asset FROM asset_tag JOIN tag ON tag.id = tag"
    " WHERE tag.name = 'system:1')",
}
"""Filters, and the SQL that counts the same assets."""


def _totals_are_exact(server: Server, database: Seeded) -> bool:
    """Whether totals are exact up to 10,000, and not below that beyond."""
    for query, condition in COUNTS.items():
        counted = database.count(condition)
        total = json.loads(ask(server, list_path(query))[2]["X-Pagination"]).get("total")
        if counted <= COUNTED and total != counted:
            return False
        if counted > COUNTED and total is not None and total < COUNTED:
            return False
    return True


def _upsert_takes_no_lock(server: Server, database: Seeded) -> bool:
    """Whether an upsert that changes nothing succeeds while another process holds the lock."""
    asset = ask(server, list_path("managed_by=crd", page_size=1))[1][0]
    body = {name: asset[name] for name in FIELDS}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_UPSERT_SECONDS)
    with database.write_locked():
        try:
            connection.request(
                "PUT",
                f"{ASSETS}/by-ref/{quote(asset['externalRef'])}",
                body=json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
            response = connection.getresponse()
            answer = json.loads(response.read())
        except TimeoutError:
            return False
        finally:
            connection.close()
    return response.status == http.client.OK and bool(answer == asset)
