"""The results of the gateway's benchmark: a record, and a table for readers."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bench.common.machine import hardware
from bench.common.series import Measured, spread
from bench.common.targets import Target, at_most, judged, under

Record = dict[str, Any]

TARGETS: dict[str, Target] = {
    "p99_added_ms": under(1),
    "p99_added_ms_vs_go": at_most(0.5),
    "memory_mb": under(45),
    "idle_core": under(0.003),
    "ready_seconds": under(1),
}


def record(
    *,
    orders: Mapping[str, Measured],
    idle: Measured,
    method: Mapping[str, float],
    go_version: str,
) -> Record:
    """Return everything that was measured, and the ratios with targets."""

    def added(quantity: str, way: str, to: str) -> float:
        return round(orders[way][quantity].median - orders[to][quantity].median, 3)

    ratios = {
        "p99_added_ms": added("p99_ms", "gateway", "direct"),
        "p99_added_ms_vs_go": added("p99_ms", "gateway", "go"),
        "memory_mb": round(idle["memory_mb"].median, 1),
        "idle_core": round(idle["idle_core"].median, 4),
        "ready_seconds": round(idle["ready_seconds"].median, 2),
        "memory_pss_mb": round(idle["memory_pss_mb"].median, 1),
        "cpu_us_per_order": round(orders["gateway"]["cpu_us_per_order"].median),
        "p50_added_ms": added("p50_ms", "gateway", "direct"),
        "p50_added_ms_vs_go": added("p50_ms", "gateway", "go"),
        "p50_added_ms_by_the_ledger": added("p50_ms", "with a ledger", "gateway"),
    }
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "machine": hardware() | {"go": go_version, "load": round(os.getloadavg()[0], 1)},
        "method": {
            **method,
            "values": "quantiles over all rounds, of orders from when they were due; CPU time of"
            " the process between bot and exchange; memory_mb is the resident set",
        },
        "orders": _json(orders),
        "idle": {name: series.as_json() for name, series in idle.items()},
        "ratios": ratios,
        "targets": {name: target.text for name, target in TARGETS.items()},
        "met": {name: target.holds(ratios[name]) for name, target in TARGETS.items()},
    }


def _json(orders: Mapping[str, Measured]) -> dict[str, dict[str, dict[str, float]]]:
    return {
        way: {name: series.as_json() for name, series in found.items()}
        for way, found in orders.items()
    }


def table(whole: Record) -> str:
    """Return the record as a table."""
    where = whole["machine"]
    versions = f"Python {where['python']}, Go {where['go']}"
    lines = [
        f"{where['cores']} cores of {where['processor']}, {versions}; load {where['load']}",
        "",
        f"{'orders':16}{'p50 ms':>24}{'p99 ms':>26}{'CPU us':>22}",
    ]
    lines += [
        f"{way:16}{spread(found['p50_ms'], 2):>24}{spread(found['p99_ms'], 2):>26}"
        f"{spread(found['cpu_us_per_order'], 0):>22}"
        for way, found in whole["orders"].items()
    ]
    lines += ["", *judged("ratios", whole["ratios"], whole, width=36, target=18)]
    return "\n".join(lines) + "\n"
