"""Whether the registry and its peers give the same answers on the same database.

Different by design: the peers' errors are compared by their status alone, their cursors are their
own, and a total above 10,000 is only "more than 10,000" for all.
"""

import http.client
import json
from collections.abc import Mapping
from email.message import Message
from itertools import islice
from typing import Any

from bench.registry.dataset import HUB, asset_id
from bench.registry.servers import Server, ServerName
from bench.registry.workload import (
    ASSETS,
    COMMON_FILTERS,
    INVALID,
    SEED,
    ids,
    list_path,
    new_assets,
)

COUNTED = 10_000
"""Totals are exact up to this number."""
PAGES = 3
"""Pages that are followed by cursor, of each filter."""
OWN = ("id", "createdAt", "updatedAt")
"""Fields of a new asset that no two servers can have in common."""

Servers = Mapping[ServerName, Server]


class UnequalError(RuntimeError):
    """Two servers answered differently."""


def check(servers: Servers, size: int) -> int:
    """Compare the servers' answers, and return how many. Raises UnequalError."""
    paths = [f"{ASSETS}/{each}" for each in ids(size, 100)]
    paths += [f"{ASSETS}/{asset_id(place, SEED)}/dependents" for place in (HUB, 1, 10, 15)]
    for path in paths:
        _same(path, {name: ask(server, path)[1] for name, server in servers.items()})
    listed = 0
    for query in (query for some in COMMON_FILTERS.values() for query in some):
        walks = {name: _walk(server, query) for name, server in servers.items()}
        _same(query, walks)
        listed += len(next(iter(walks.values()))[0])
    for body in INVALID:
        statuses = {name: ask(server, ASSETS, body)[0] for name, server in servers.items()}
        _same(f"a creation of {body}", statuses | {"": 422})
    return len(paths) + listed + len(INVALID) + _compare_creations(servers, size)


def _compare_creations(servers: Servers, size: int) -> int:
    """Create the same assets with each server. All must then show them, and their history, alike.

    The servers share one database, so each also reads what the others wrote.
    """
    bodies = list(islice(new_assets(size), 5))
    bodies.append({"name": "waits", "type": "Other", "dependsOn": ["crd/nobody/nothing.here"]})
    for body in bodies:
        made: dict[str, Any] = {}
        for name, server in servers.items():
            status, answer, _ = ask(server, ASSETS, body)
            _same(f"{name}: a creation of {body}", {"status": status, "wanted": 201})
            path = f"{ASSETS}/{answer['id']}"
            shown = {reader: ask(other, path)[1] for reader, other in servers.items()}
            _same(path, shown | {"created": answer})
            changes = ask(servers["tradingbot"], f"{path}/changes")[1]["changes"]
            made[name] = (
                {key: value for key, value in answer.items() if key not in OWN},
                [(each["action"], each["before"], each["after"]) for each in changes],
            )
        _same(f"what a creation of {body} made", made)
    return len(bodies)


def _walk(server: Server, query: str) -> tuple[list[Any], Any]:
    """Return the first pages of a list, and the total as far as it is counted."""
    pages, cursor, total = [], None, None
    for _ in range(PAGES):
        path = list_path(query, **({} if cursor is None else {"cursor": cursor}))
        status, page, headers = ask(server, path)
        pagination = json.loads(headers["X-Pagination"])
        if cursor is None:
            total = bounded(pagination)
        pages.append((status, page))
        cursor = pagination.get("next_cursor")
        if cursor is None:
            break
    return pages, total


def bounded(pagination: Mapping[str, Any]) -> int:
    """Return the total, or one more than is counted, which each server says in its own way."""
    total = pagination.get("total")
    return COUNTED + 1 if total is None or pagination.get("more") else min(total, COUNTED + 1)


def ask(server: Server, path: str, body: Any = None) -> tuple[int, Any, Message]:
    """Return status, JSON (None unless the answer is a success) and headers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(
            "GET" if body is None else "POST",
            path,
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        response = connection.getresponse()
        text = response.read()
        good = response.status < http.client.BAD_REQUEST
        return response.status, json.loads(text) if good else None, response.headers
    finally:
        connection.close()


def _same(what: str, found: Mapping[Any, Any]) -> None:
    first, *others = found
    for other in others:
        if found[first] != found[other]:
            raise UnequalError(
                f"{what}: {first} and {other} differ:\n{found[first]!r:.2000}\n"
                f"{found[other]!r:.2000}"
            )
