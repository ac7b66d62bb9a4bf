"""The corpus: manifests with what is said of them, for the tests to run through each layer."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""The time at which everything is reviewed: the corpus's dates are past or future of it."""

_CORPUS = Path(__file__).parent / "corpus"
_KEYS = {"name", "set", "remove", "refused by", "errors", "warnings"}


@dataclass(frozen=True)
class Case:
    """A manifest, and what each layer says of it."""

    name: str
    manifest: dict[str, Any]
    refused_by: str | None = None
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.manifest["kind"]


def changed(
    base: dict[str, Any], changes: Mapping[str, Any] | None = None, remove: Sequence[str] = ()
) -> dict[str, Any]:
    """A copy of `base` with values set at, and removed from, dotted paths."""
    result = deepcopy(base)
    for path, value in (changes or {}).items():
        holder, last = _holder(result, path, make=True)
        holder[last] = deepcopy(value)
    for path in remove:
        holder, last = _holder(result, path, make=False)
        del holder[last]
    return result


def _holder(obj: Any, path: str, *, make: bool) -> tuple[Any, str | int]:
    *steps, last = (int(step) if step.isdecimal() else step for step in path.split("."))
    for step in steps:
        if make and isinstance(obj, dict):
            obj.setdefault(step, {})
        obj = obj[step]
    return obj, last


def _load(name: str) -> tuple[dict[str, Any], list[Case]]:
    text = yaml.safe_load((_CORPUS / name).read_text(encoding="utf-8"))
    base = text["base"]
    for row in text["cases"]:
        assert row.keys() <= _KEYS, f"{name}: {row['name']}: unknown {row.keys() - _KEYS}"
    return base, [
        Case(
            name=f"{base['kind']}: {row['name']}",
            manifest=changed(base, row.get("set"), row.get("remove", ())),
            refused_by=row.get("refused by"),
            errors=tuple(row.get("errors", ())),
            warnings=tuple(row.get("warnings", ())),
        )
        for row in text["cases"]
    ]


BOT, _BOT_CASES = _load("tradingbot.yaml")
_, _POD_CASES = _load("tradingbot-pod.yaml")
GATEWAY_BOT, _GATEWAY_CASES = _load("tradingbot-gateway.yaml")
STRATEGY_BOT, _STRATEGY_CASES = _load("tradingbot-strategies.yaml")
REGISTRY, _REGISTRY_CASES = _load("assetregistry.yaml")


def _too_big() -> list[Case]:
    """Cases at and over the bounds that are too long to be written out."""
    window = {"start": "09:00", "end": "09:01"}
    blackout = {"from": "2090-01-01T00:00:00Z", "to": "2090-01-02T00:00:00Z"}
    short = [{**window, "start": f"10:{n:02}"} for n in range(51)]
    assets = [{"name": f"a{n}", "type": "Other"} for n in range(501)]
    parameters, image = "spec.strategy.parameters", "spec.strategy.image"
    rows: list[tuple[dict[str, Any], str, Any, str | None]] = [
        (BOT, image, f"bot:{'t' * 129}", "review"),
        (BOT, image, f"{'a' * 255}/{'b' * 253}:1", "review"),
        (BOT, image, f"bot:{'t' * 509}", "schema"),
        (BOT, parameters, {f"p{n}": "" for n in range(64)}, None),
        (BOT, parameters, {f"p{n}": "" for n in range(65)}, "schema"),
        (BOT, parameters, {"p": "v" * 4096}, None),
        (BOT, parameters, {"p": "v" * 4097}, "schema"),
        (BOT, parameters, {"k" * 63: ""}, None),
        (BOT, parameters, {"k" * 64: ""}, "review"),
        (BOT, "spec.exchange.apiKeySecret", "s" * 253, None),
        (BOT, "spec.exchange.apiKeySecret", "s" * 254, "schema"),
        (BOT, "spec.exchange.baseURL", "https://x/" + "p" * 2038, None),
        (BOT, "spec.exchange.baseURL", "https://x/" + "p" * 2039, "schema"),
        (BOT, "spec.schedule.windows", short, "schema"),
        (BOT, "spec.schedule.blackouts", [blackout] * 50, None),
        (BOT, "spec.schedule.blackouts", [blackout] * 51, "schema"),
        (REGISTRY, "spec.assets", assets[:500], None),
        (REGISTRY, "spec.assets", assets, "schema"),
        (REGISTRY, "spec.assets.0.description", "d" * 1024, None),
        (REGISTRY, "spec.assets.0.description", "d" * 1025, "schema"),
        (REGISTRY, "spec.assets.0.tags", [f"t{n}" for n in range(32)], None),
        (REGISTRY, "spec.assets.0.tags", [f"t{n}" for n in range(33)], "schema"),
        (REGISTRY, "spec.assets.0.tags", ["t" * 63], None),
        (REGISTRY, "spec.assets.0.tags", ["t" * 64], "schema"),
        (REGISTRY, "spec.assets.0.config", {"a": "x" * (16384 - 8)}, None),
        (REGISTRY, "spec.assets.0.config", {"a": "x" * (16384 - 7)}, "review"),
    ]
    return [
        Case(
            name=f"{base['kind']}: bound {number} of {path}",
            manifest=changed(base, {path: value}),
            refused_by=refused_by,
        )
        for number, (base, path, value, refused_by) in enumerate(rows)
    ]


CASES = (*_BOT_CASES, *_POD_CASES, *_GATEWAY_CASES, *_STRATEGY_CASES, *_REGISTRY_CASES)
BOUNDS = tuple(_too_big())
