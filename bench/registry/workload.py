"""The requests: what is read, listed and created."""

import json
import random
from collections.abc import Iterator, Mapping
from itertools import count, cycle
from typing import Any

from bench.registry.dataset import HUB, NAMESPACES, WORDS, asset_id
from bench.registry.load import get, post

SEED = 1
ASSETS = "/api/v1/assets"
PAGE_SIZE = 50

COMMON_FILTERS: Mapping[str, tuple[str, ...]] = {
    "none": ("",),
    "type": ("type=DatabaseConnection", "type=KubernetesDeployment", "type=Configuration"),
    "status": ("status=Failed", "status=Inactive", "status=Active", "status=Draft"),
    "effective_status": tuple(
        f"effective_status={status}"
        for status in ("Failed", "Degraded", "Inactive", "Active", "Draft")
    ),
    "managed_by": ("managed_by=user", "managed_by=crd"),
    "type, status": ("type=ObjectStore&status=Failed", "type=Other&status=Active"),
    "type, effective_status": (
        "type=KubernetesDeployment&effective_status=Degraded",
        "type=Other&effective_status=Degraded",
    ),
    "tag": ("tag=env:prod", *(f"tag=team:{number}" for number in range(4)), "tag=system:1"),
    "two tags": tuple(f"tag=env:prod&tag=team:{number}" for number in range(4)),
    "tag, effective_status": tuple(
        f"tag=team:{number}&effective_status=Degraded" for number in range(4)
    ),
    "by name": ("sort=name", "status=Failed&sort=name"),
    "newest first": ("sort=-updated_at", "status=Failed&sort=-updated_at"),
    "q": tuple(f"q={word}" for word in WORDS[:4]),
}
"""Filters that the peers have too, with several values for each."""

FILTERS: Mapping[str, tuple[str, ...]] = {
    **COMMON_FILTERS,
    "any_tag": ("any_tag=team:1&any_tag=team:2", "any_tag=system:1&any_tag=env:dev"),
    "updated_since": (
        "updated_since=2026-01-20T00:00:00Z",
        "updated_since=2026-01-20T00:00:00Z&sort=updated_at",
    ),
    "external_ref_prefix": ("external_ref_prefix=crd/ns-001/", "external_ref_prefix=tradingbot/"),
    "namespace": tuple(f"namespace=ns-{number:03}" for number in range(0, NAMESPACES, 60)),
    "rare q": ("q=-0000517", "q=no-asset-has-this-text"),
}


def list_path(query: str, **more: Any) -> str:
    """Return the path of a page."""
    extra = "&".join(f"{name}={value}" for name, value in more.items())
    parameters = "&".join(part for part in (query, extra) if part)
    return f"{ASSETS}?{parameters}" if parameters else ASSETS


def ids(size: int, number: int) -> list[str]:
    """Return the ids of so many assets, chosen at random."""
    rng = random.Random(SEED)
    return [asset_id(rng.randrange(size), SEED) for _ in range(number)]


def reads(size: int) -> Iterator[bytes]:
    """Yield requests for one asset each, without an end."""
    return cycle([get(f"{ASSETS}/{each}") for each in ids(size, 1000)])


def pages(_: int) -> Iterator[bytes]:
    """Yield requests for the first pages of lists, without an end."""
    queries = [query for some in COMMON_FILTERS.values() for query in some]
    return cycle([get(list_path(query)) for query in queries])


def dependents(_: int) -> Iterator[bytes]:
    """Yield requests for the dependents of the hub, without an end."""
    return cycle([get(f"{ASSETS}/{asset_id(HUB, SEED)}/dependents")])


_numbers = count()


def creations(size: int) -> Iterator[bytes]:
    """Yield requests that create an asset each, without an end."""
    for body in new_assets(size):
        yield post(ASSETS, json.dumps(body).encode())


def new_assets(size: int) -> Iterator[dict[str, Any]]:
    """Yield bodies of new assets, with three tags and two dependencies each."""
    rng = random.Random(SEED)
    for number in _numbers:
        # A place that ends with 0 is a foundation, which is never a Draft.
        targets = sorted({asset_id(10 * rng.randrange(size // 10), SEED) for _ in range(2)})
        yield {
            "name": f"new-{number:07}",
            "type": "KubernetesDeployment",
            "status": "Active",
            "description": f"created by the benchmark, number {number}",
            "tags": ["env:prod", f"team:{number % 50}", f"system:{number % 20}"],
            "config": {"namespace": "ns-001", "name": f"new-{number}", "replicas": 2},
            "secretRef": {"name": f"new-{number}", "key": "password"},
            "dependsOn": targets,
        }


INVALID: tuple[Any, ...] = (
    {},
    {"name": "a"},
    {"name": " a", "type": "Other"},
    {"name": "a\u0007", "type": "Other"},
    {"name": "a" * 254, "type": "Other"},
    {"name": "a", "type": "Nothing"},
    {"name": "a", "type": "Other", "status": "Broken"},
    {"name": "a", "type": "Other", "unknown": 1},
    {"name": "a", "type": "Other", "description": "a" * 1025},
    {"name": "a", "type": "Other", "tags": ["Upper"]},
    {"name": "a", "type": "Other", "tags": ["a", "a"]},
    {"name": "a", "type": "Other", "tags": [f"t{number}" for number in range(33)]},
    {"name": "a", "type": "ApiEndpoint"},
    {"name": "a", "type": "DatabaseConnection", "config": {"engine": "postgres"}},
    {"name": "a", "type": "Other", "config": {"password": "hunter2"}},
    {"name": "a", "type": "Other", "config": {"deep": [{"apiKey": "abc"}]}},
    {"name": "a", "type": "Other", "dependsOn": ["no id"]},
    {"name": "a", "type": "Other", "dependsOn": ["00000000-0000-4000-8000-000000000000"]},
    [],
)
"""Bodies that all refuse with 422."""
