"""What is sent: AdmissionReviews as the API server writes them.

By the time a webhook is asked, the API server has filled in the schema's own defaults and noted who
manages which field. So a mutating webhook sees those, and has only the computed defaults to add.
"""

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from tradingbot_api.admission import KINDS, defaulted
from tradingbot_api.fields import filled
from tradingbot_dev.manifests import SAMPLE_BOT

Json = dict[str, Any]
Endpoint = Literal["mutate", "validate"]
ENDPOINTS: tuple[Endpoint, ...] = ("mutate", "validate")
VARIANTS = 64
"""Objects that differ, sent in turn: nobody's server sees the same one twice in a row."""

_WHEN = "2026-11-24T12:00:00Z"
_PLURALS = {"TradingBot": "tradingbots", "AssetRegistry": "assetregistries"}
_SPACE = uuid.UUID("6f1d1f0e-0000-4000-8000-000000000000")


@dataclass(frozen=True)
class Workload:
    """A kind of object, in variants, and the name that results give it."""

    name: str
    title: str
    kind: str
    make: Callable[[int], Json]

    def bodies(self, endpoint: Endpoint) -> list[bytes]:
        """The reviews of all variants on this endpoint."""
        return [review(self.make(n), endpoint) for n in range(VARIANTS)]


def sample_bot(number: int) -> Json:
    """The sample bot, with a name, an image and amounts of its own."""
    bot: Json = yaml.safe_load(SAMPLE_BOT.read_text(encoding="utf-8"))
    bot["metadata"] |= {"name": f"arb-bot-binance-{number}", "namespace": "default"}
    spec = bot["spec"]
    spec["strategy"]["image"] = f"ghcr.io/example/arb-bot:1.{number}.0"
    spec["strategy"]["parameters"] = {"minProfitThreshold": f"0.0{number + 10}"}
    spec["riskManagement"] |= {
        "maxPositionSize": str(1000 + number),
        "stopLossPercentage": f"2.{number + 10}",
    }
    return bot


def large_bot(number: int) -> Json:
    """64 parameters and 50 windows."""
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


def catalogue(number: int) -> Json:
    """500 assets, each needing the one before it."""
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
    Workload("catalogue", "catalogue of 500 assets", "AssetRegistry", catalogue),
)


def review(obj: Json, endpoint: Endpoint, *, old: Json | None = None, stored: bool = True) -> bytes:
    """The review of creating `obj`, or of updating `old` to it.

    `stored` makes it what the API server makes of a valid object. Without, it is sent as it is.
    """
    kind = obj["kind"]
    if stored:
        obj = _as_received(obj) if endpoint == "mutate" else _as_stored(obj)
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


def _as_received(obj: Json) -> Json:
    """With the schema's defaults, and the field manager's notes."""
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
    obj["spec"] = filled(KINDS[obj["kind"]].spec_model, obj["spec"])
    return obj


def _as_stored(obj: Json) -> Json:
    """After the mutating webhook, with the metadata that a new object gets."""
    stored = defaulted(obj["kind"], _as_received(obj))
    stored["metadata"] |= {
        "uid": str(uuid.uuid5(_SPACE, obj["metadata"]["name"])),
        "creationTimestamp": _WHEN,
        "generation": 1,
    }
    return stored


def _field_set(value: Json) -> Json:
    """`fieldsV1` of an object; a list counts as one field, as the atomic ones do."""
    return {
        ".": {},
        **{
            f"f:{key}": _field_set(inner) if isinstance(inner, dict) else {}
            for key, inner in value.items()
        },
    }


def numbered(make: Callable[[int], Json], count: int) -> Iterator[Json]:
    """`count` objects, each of its own name."""
    for number in range(count):
        obj = make(number % VARIANTS)
        obj["metadata"]["name"] = f"bench-{number}"
        yield obj
