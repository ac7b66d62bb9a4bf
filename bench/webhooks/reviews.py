"""AdmissionReviews as the API server sends them.

Before the API server calls a webhook, it has set the defaults of the schema and `managedFields`. A
mutating webhook gets both, and has only the computed defaults to add.
"""

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from tradingbot_api.admission.fields import apply_defaults
from tradingbot_api.admission.review import KINDS, defaulted

from bench.common.sample import VARIANTS, Json, sample_bot

Endpoint = Literal["mutate", "validate"]
ENDPOINTS: tuple[Endpoint, ...] = ("mutate", "validate")

_WHEN = "2026-11-24T12:00:00Z"
_PLURALS = {"TradingBot": "tradingbots", "AssetRegistry": "assetregistries"}
_SPACE = uuid.UUID("6f1d1f0e-0000-4000-8000-000000000000")


@dataclass(frozen=True)
class Workload:
    """Variants of an object, and the name in the results."""

    name: str
    title: str
    kind: str
    make: Callable[[int], Json]

    def bodies(self, endpoint: Endpoint) -> list[bytes]:
        """Return the reviews of all variants for this endpoint."""
        return [review(self.make(n), endpoint) for n in range(VARIANTS)]


def large_bot(number: int) -> Json:
    """Return a bot with 64 parameters and 50 windows."""
    bot = sample_bot(number)
    bot["spec"]["strategy"]["parameters"] = {
        f"pair.{n}.threshold": f"0.00{number + n}" for n in range(64)
    }
    days = ["Mon", "Tue", "Wed", "Thu", "Fri"]
    starts = [divmod(8 * 60 + 90 * n + number % 10, 60) for n in range(10)]
    bot["spec"]["schedule"] = {
        "timeZone": "Europe/Berlin",
        "windows": [
            {"days": [day], "start": f"{hour:02}:{minute:02}", "end": f"{hour:02}:{minute + 15:02}"}
            for day in days
            for hour, minute in starts
        ],
    }
    return bot


def asset_registry(number: int) -> Json:
    """Return an AssetRegistry of 500 assets, each of which depends on the one before it."""
    assets = [
        {
            "name": f"asset-{n}",
            "type": "DatabaseConnection",
            "status": "Active",
            "description": f"Minute bars of venue {n}, variant {number}",
            "tags": ["market-data", f"venue:{n}"],
            "config": {
                "engine": "postgresql",
                "host": f"prices-{n}.market-data.svc",
                "port": 5432,
                "database": "prices",
                "replicas": [{"host": f"replica-{n}.market-data.svc", "lag": 1.5}],
            },
            "secretRef": {"name": f"prices-{n}-login", "key": "password"},
            "dependsOn": [f"asset-{n - 1}"] if n else [],
        }
        for n in range(500)
    ]
    return {
        "apiVersion": "trading.io/v1",
        "kind": "AssetRegistry",
        "metadata": {"name": f"market-data-{number}", "namespace": "default"},
        "spec": {"assets": assets},
    }


WORKLOADS = (
    Workload("sample_bot", "sample bot", "TradingBot", sample_bot),
    Workload("large_bot", "bot, 64 parameters, 50 windows", "TradingBot", large_bot),
    Workload("asset_registry", "500 assets", "AssetRegistry", asset_registry),
)


def review(obj: Json, endpoint: Endpoint, *, old: Json | None = None, stored: bool = True) -> bytes:
    """Return the review of creating `obj`, or of updating `old` to it.

    With `stored`, `obj` gets what the API server adds to a valid object, otherwise nothing.
    """
    kind = obj["kind"]
    if stored:
        obj = as_received(obj) if endpoint == "mutate" else _as_stored(obj)
    metadata = obj.get("metadata", {})
    resource = {"group": "trading.io", "version": "v1", "resource": _PLURALS[kind]}
    gvk = {"group": "trading.io", "version": "v1", "kind": kind}
    operation, options = ("CREATE", "CreateOptions") if old is None else ("UPDATE", "UpdateOptions")
    request = {
        "uid": str(uuid.uuid5(_SPACE, f"{endpoint} {json.dumps(metadata)}")),
        "kind": gvk,
        "resource": resource,
        "requestKind": gvk,
        "requestResource": resource,
        "name": metadata.get("name", ""),
        "namespace": "default",
        "operation": operation,
        "userInfo": {
            "username": "jane@example.com",
            "groups": ["traders", "system:authenticated"],
        },
        "object": obj,
        "oldObject": old,
        "dryRun": False,
        "options": {
            "kind": options,
            "apiVersion": "meta.k8s.io/v1",
            "fieldManager": "kubectl-create",
            "fieldValidation": "Strict",
        },
    }
    whole = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(whole, separators=(",", ":")).encode()


def as_received(obj: Json) -> Json:
    """Return the object with the defaults of the schema and `managedFields`."""
    obj = copy.deepcopy(obj)
    managed = {
        "manager": "kubectl-create",
        "operation": "Update",
        "apiVersion": "trading.io/v1",
        "time": _WHEN,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": _field_set(obj["spec"])},
    }
    obj["metadata"]["managedFields"] = [managed]
    obj["spec"] = apply_defaults(KINDS[obj["kind"]].spec_model, obj["spec"])
    return obj


def _as_stored(obj: Json) -> Json:
    """Return the object after the mutating webhook, with the metadata of a new object."""
    stored = defaulted(obj["kind"], as_received(obj))
    stored["metadata"] |= {
        "uid": str(uuid.uuid5(_SPACE, obj["metadata"]["name"])),
        "creationTimestamp": _WHEN,
        "generation": 1,
    }
    return stored


def _field_set(value: Json) -> Json:
    """Return `fieldsV1` of an object. A list counts as one field, as atomic lists do."""
    return {
        ".": {},
        **{
            f"f:{key}": _field_set(inner) if isinstance(inner, dict) else {}
            for key, inner in value.items()
        },
    }


def numbered(make: Callable[[int], Json], count: int) -> Iterator[Json]:
    """Yield `count` objects, each with its own name."""
    for number in range(count):
        obj = make(number % VARIANTS)
        obj["metadata"]["name"] = f"bench-{number}"
        yield obj
