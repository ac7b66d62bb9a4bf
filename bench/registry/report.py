"""The results of the registry's benchmark: a record, and a table for readers."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from bench.common.machine import hardware
from bench.common.series import Measured, spread
from bench.common.targets import Target, at_least, judged, under
from bench.registry.comparison import OPERATIONS
from bench.registry.servers import NAMES
from bench.registry.wsgi import Results

Record = dict[str, Any]
LARGE = 100_000
"""Assets from which on the hub has 10,000 dependents, and there are 1,000 pages."""

TARGETS: dict[str, Target] = {
    "get_requests_per_cpu_second_vs_fastapi": at_least(1),
    "list_requests_per_cpu_second_vs_fastapi": at_least(1),
    "create_p99_ms": under(60),
    "filtered_page_p99_ms": under(10),
    "deep_page_vs_first": under(1.5),
    "effective_status_vs_status": under(1.5),
    "dependents_10000_ms": under(50),
    "cold_start_seconds": under(1),
    "totals_exact": at_least(1),
    "upsert_without_write_lock": at_least(1),
}


def record(
    *,
    databases: Mapping[str, Mapping[int, Record]],
    wsgi: Results,
    method: Mapping[str, Any],
    versions: Mapping[str, str],
) -> Record:
    """Return everything that was measured, and the ratios with targets."""
    ratios = _ratios(databases)
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "machine": hardware() | {"load": round(os.getloadavg()[0], 1), "peers": dict(versions)},
        "method": {
            **method,
            "values": "median, min and max over rounds, quantiles over all of them; CPU time of the"
            " server's process, without that of PostgreSQL; ratios are the worst over all databases"
            " and sizes",
        },
        "databases": {
            kind: {str(size): found for size, found in by_size.items()}
            for kind, by_size in databases.items()
        },
        "wsgi": {
            name: _json(measured) | asdict(behaviour)
            for name, (measured, behaviour) in wsgi.items()
        },
        "ratios": ratios,
        "targets": {name: target.text for name, target in TARGETS.items()},
        "met": {
            name: target.holds(ratios[name]) for name, target in TARGETS.items() if name in ratios
        },
    }


def _json(measured: Measured) -> dict[str, Any]:
    return {name: series.as_json() for name, series in measured.items()}


def compared(found: Mapping[str, Mapping[Any, Measured]]) -> Record:
    """Return a comparison as JSON."""
    return {
        operation: {name: _json(measured) for name, measured in by_server.items()}
        for operation, by_server in found.items()
    }


def _ratios(databases: Mapping[str, Mapping[int, Record]]) -> dict[str, float]:
    """Return the worst of each figure: the least of those with a lower limit, else the most."""
    values: dict[str, list[float]] = {}
    for by_size in databases.values():
        for size, found in by_size.items():
            for name, value in _figures(size, found).items():
                values.setdefault(name, []).append(value)
    least = ("_vs_fastapi", "_vs_axum", "totals_exact", "upsert_without_write_lock")
    return {
        name: round(min(some) if name.endswith(least) else max(some), 3)
        for name, some in values.items()
    }


def _figures(size: int, found: Record) -> dict[str, float]:
    comparison, alone = found["compared"], found["alone"]
    figures: dict[str, float] = {}
    for operation in OPERATIONS:
        rates = {
            name: values["requests_per_cpu_second"]["median"]
            for name, values in comparison[operation].items()
        }
        for peer in NAMES[1:]:
            if peer in rates:
                key = f"{operation}_requests_per_cpu_second_vs_{peer}"
                figures[key] = rates["tradingbot"] / rates[peer]
    pages = alone["pages"]
    figures |= {
        "create_p99_ms": comparison["create"]["tradingbot"]["p99_ms"]["median"],
        "filtered_page_p99_ms": max(values["p99_ms"] for values in pages.values()),
        "effective_status_vs_status": (
            pages["effective_status"]["p50_ms"] / pages["status"]["p50_ms"]
        ),
        "cold_start_seconds": found["cold_start_seconds"]["median"],
        "totals_exact": alone["totals_exact"],
        "upsert_without_write_lock": alone["upsert_without_write_lock"],
        "peak_rss_mb": alone["peak_rss_mb"],
    }
    if "deep" in alone["paging"]:
        figures["deep_page_vs_first"] = (
            alone["paging"]["deep"]["p50_ms"] / alone["paging"]["first"]["p50_ms"]
        )
    if size >= LARGE:
        figures["dependents_10000_ms"] = alone["dependents"]["p50_ms"]
    return figures


def table(whole: Record) -> str:
    """Return the record as a table."""
    where = whole["machine"]
    lines = [
        (
            f"{where['cores']} cores of {where['processor']}, Python {where['python']};"
            f" load {where['load']}"
        ),
        ", ".join(f"{name} {version}" for name, version in where["peers"].items()),
    ]
    for kind, by_size in whole["databases"].items():
        for size, found in by_size.items():
            lines += ["", *_of_database(kind, int(size), found)]
    lines += [
        "",
        f"{'WSGI server, GET':28}{'requests/CPU s':>24}{'p50 ms':>8}{'p99 ms':>8}  served",
    ]
    lines += [
        f"{name:28}{spread(found['requests_per_cpu_second'], 0):>24}"
        f"{found['p50_ms']['median']:8.1f}{found['p99_ms']['median']:8.1f}  {_behaviour(found)}"
        for name, found in whole["wsgi"].items()
    ]
    lines += [
        "",
        *judged(
            "ratios and figures, the worst of all", whole["ratios"], whole, width=44, target=14
        ),
    ]
    return "\n".join(lines) + "\n"


def _of_database(kind: str, size: int, found: Record) -> list[str]:
    alone = found["alone"]
    lines = [
        (
            f"{kind}, {size:,} assets: {found['equal_answers']} equal answers;"
            f" cold start {found['cold_start_seconds']['median']:.2f} s;"
            f" {found['megabytes']:.0f} MB, peak RSS {alone['peak_rss_mb']:.0f} MB"
        ),
        f"  {'8 clients':14}{'server':12}{'requests/CPU s':>24}{'p50 ms':>10}{'p99 ms':>10}",
    ]
    lines += [
        f"  {operation:14}{name:12}{spread(values['requests_per_cpu_second'], 0):>24}"
        f"{values['p50_ms']['median']:10.2f}{values['p99_ms']['median']:10.2f}"
        for operation, by_server in found["compared"].items()
        for name, values in by_server.items()
    ]
    lines.append(f"  {'the registry, one client':50}{'p50 ms':>10}{'p99 ms':>10}")
    rows = {f"page, {name}": values for name, values in alone["pages"].items()}
    rows |= {
        f"page by cursor, {name}": values
        for name, values in alone["paging"].items()
        if name != "page"
    }
    rows["dependents of the hub"] = alone["dependents"]
    lines += [
        f"  {name:50}{values['p50_ms']:10.2f}{values['p99_ms']:10.2f}"
        for name, values in rows.items()
    ]
    return lines


def _behaviour(found: Mapping[str, Any]) -> str:
    words = {
        "serves_beside_slow_clients": "beside slow clients",
        "healthy_beside_slow_clients": "healthy beside them",
        "drains": "drains",
    }
    return ", ".join(f"{text}: {'yes' if found[name] else 'NO'}" for name, text in words.items())
