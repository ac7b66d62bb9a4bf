"""An inventory of any size to measure the registry with: the same assets for the same seed.

One in ten assets is a foundation that depends on nothing, three are services on two foundations,
six are deployments on two services. The first asset is the hub, which up to 10,000 deployments
depend on as well. Each asset has three tags: one of 3, one of 50 and one of `count / 500`.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, cast
from uuid import UUID

from tradingbot_registry.app import prepared_database
from tradingbot_registry.maintenance.importing import read_export
from tradingbot_registry.maintenance.records import (
    DependencyLine,
    EndLine,
    HeaderLine,
    Kind,
)

HUB = 0
"""Place of the asset with the most dependents."""
HUB_DEPENDENTS = 10_000
NAMESPACES = 200
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

FOUNDATIONS = ("DatabaseConnection", "MessageQueue", "ObjectStore", "ApiEndpoint")
SERVICES = ("KubernetesService", "Configuration", "Other")
DEPLOYMENTS = ("KubernetesDeployment",)
WORDS = (
    *("orders", "payments", "prices", "ledger", "matching", "risk", "audit", "quotes", "clearing"),
    *("treasury", "reports", "accounts", "funding", "alerts", "margin", "hedging"),
)


def asset_id(place: int, seed: int) -> str:
    """Return the id of the asset at that place, from 0."""
    digest = hashlib.md5(f"{seed}/{place}".encode(), usedforsecurity=False).digest()
    return str(UUID(bytes=digest, version=4))


def assets(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield assets as the REST API shows them, without what it computes, oldest first.

    `dependsOn` has ids of assets before.
    """
    rng = random.Random(seed)
    systems = max(2, count // 500)
    stride = 10 * max(1, -(-count // (10 * HUB_DEPENDENTS)))
    for place in range(count):
        kind, targets = _role(place, rng)
        if place % stride == 4:
            targets.add(HUB)
        yield {
            "id": asset_id(place, seed),
            **_facts(place, kind, rng, systems),
            "dependsOn": [asset_id(target, seed) for target in sorted(targets)],
        }


def _role(place: int, rng: random.Random) -> tuple[str, set[int]]:
    """Return the type, and the places of two dependencies: one in ten assets has none."""
    tens, digit = divmod(place, 10)
    if digit == 0:
        return FOUNDATIONS[tens % len(FOUNDATIONS)], set()
    if digit < 4:
        return rng.choice(SERVICES), {10 * rng.randint(0, tens) for _ in range(2)}
    return DEPLOYMENTS[0], {10 * rng.randint(0, tens) + rng.randint(1, 3) for _ in range(2)}


def _facts(place: int, kind: str, rng: random.Random, systems: int) -> dict[str, Any]:
    word, namespace = rng.choice(WORDS), f"ns-{rng.randrange(NAMESPACES):03}"
    name = f"{word}-{place:07}"
    owner, ref = rng.choices(
        (
            ("user", None),
            ("crd", f"crd/{namespace}/inventory.{name}"),
            ("operator", f"tradingbot/{namespace}/{name}"),
        ),
        (30, 50, 20),
    )[0]
    # No two changes at the same moment, as in life: the servers order equal ones differently.
    created = BEGIN + timedelta(seconds=place, microseconds=place % 1_000_000)
    return {
        "name": name,
        "type": kind,
        "status": _status(place, kind, rng),
        "description": f"{word} of {namespace}, kept by team {rng.randrange(50)}",
        "tags": sorted(
            (
                rng.choices(("env:prod", "env:staging", "env:dev"), (60, 25, 15))[0],
                f"team:{rng.randrange(50)}",
                f"system:{rng.randrange(systems)}",
            )
        ),
        "config": _config(kind, name, namespace, word),
        "secretRef": {"name": name, "key": "password"} if kind == "DatabaseConnection" else None,
        "managedBy": owner,
        "externalRef": ref,
        "version": 1,
        "createdAt": _text(created),
        "updatedAt": _text(created + timedelta(seconds=rng.randrange(30 * 86400))),
    }


def _status(place: int, kind: str, rng: random.Random) -> str:
    if place == HUB:
        return "Active"
    if kind in DEPLOYMENTS:
        # Nothing depends on these, so they may be drafts.
        return rng.choices(("Active", "Draft", "Inactive", "Failed"), (91, 3, 5, 1))[0]
    return rng.choices(("Active", "Inactive", "Failed"), (97, 2, 1))[0]


def _config(kind: str, name: str, namespace: str, word: str) -> dict[str, Any]:
    match kind:
        case "DatabaseConnection":
            return {"engine": "postgres", "host": f"{name}.db.internal", "database": word}
        case "ApiEndpoint":
            return {"url": f"https://{name}.example.com/v1", "timeoutSeconds": 30}
        case "KubernetesDeployment":
            return {"namespace": namespace, "name": name, "replicas": 2}
    return {"namespace": namespace, "port": 8080, "options": {"retries": 3, "region": "eu-1"}}


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def load(database_url: str, count: int, seed: int) -> None:
    """Import the assets into an empty database, which is created if it is a SQLite file."""
    database = prepared_database(database_url, connections=1)
    try:
        with database.connection_context():
            read_export(database, cast("BinaryIO", _Lines(_export(count, seed))))
    finally:
        database.release()


def _export(count: int, seed: int) -> Iterator[bytes]:
    """Yield the lines of an export of the assets, without a history."""
    digest, dependencies = hashlib.sha256(), 0

    def line(text: str) -> bytes:
        digest.update(text.encode())
        return text.encode()

    yield line(HeaderLine(program_version="0", exported_at=BEGIN).text())
    for asset in assets(count, seed):
        del asset["dependsOn"]
        yield line(json.dumps({"kind": "asset", **asset}) + "\n")
    for asset in assets(count, seed):
        for target in asset["dependsOn"]:
            dependencies += 1
            yield line(DependencyLine(source=UUID(asset["id"]), target=UUID(target)).text())
    counts = {str(Kind.ASSET): count, str(Kind.DEPENDENCY): dependencies}
    yield EndLine(counts=counts, sha256=digest.hexdigest()).text().encode()


class _Lines:
    """The lines as a stream, which is never whole in memory."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    def readline(self, _: int) -> bytes:
        """Return the next line, or nothing at the end."""
        return next(self._lines, b"")

    read = readline
