"""The results of the webhooks' benchmark: a record and a table, without host names and paths."""

from datetime import UTC, datetime
from typing import Any

from bench.common.machine import machine
from bench.common.processes import NAMES, Usage
from bench.common.series import Measured, Series, spread
from bench.webhooks.creates import VARIANTS, policy_names
from bench.webhooks.parity import Parity
from bench.webhooks.peer import GoPrograms
from bench.webhooks.reviews import ENDPOINTS, WORKLOADS
from bench.webhooks.throughput import Key, Plan

Record = dict[str, Any]
TARGETS = {
    "reviews_per_cpu_second_vs_go": "at least 3",
    "p99_added_ms_vs_go": "at most 0",
    "memory_per_worker_mb": "under 60",
    "validate_1000_seconds": "under 2",
}
_TITLES = {
    "none": "no webhook",
    "tradingbot": "tradingbot",
    "go": "Go peer",
    "cel": "policies, CEL",
}


def record(
    *,
    programs: GoPrograms,
    parity: Parity,
    throughput: dict[Key, Measured],
    usage: dict[str, dict[str, Usage]],
    creates: dict[str, Measured],
    validate: tuple[Series, Series],
    plan: Plan,
) -> Record:
    """Return everything that was measured, and the ratios with targets."""
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "machine": machine(programs.go_version, ("pydantic", "uvloop", "httptools")),
        "method": {
            "rounds": plan.rounds,
            "seconds_per_round": plan.seconds,
            "connections": 8,
            "values": "median, min and max over rounds; the servers take turns in each",
        },
        "parity": parity.as_json(),
        "throughput": {
            workload.name: {
                endpoint: {
                    name: _series(throughput[workload.name, endpoint, name]) for name in NAMES
                }
                for endpoint in ENDPOINTS
            }
            for workload in WORKLOADS
        },
        "memory_mb": {
            name: {
                workload: {"peak_rss": round(used.peak_rss_mb, 1), "pss": round(used.pss_mb, 1)}
                for workload, used in by_workload.items()
            }
            for name, by_workload in usage.items()
        },
        "creates": {name: _series(creates[name]) for name in VARIANTS},
        "policies": policy_names(),
        "validate_1000_seconds": {
            "a_file_each": validate[0].as_json(),
            "one_file": validate[1].as_json(),
        },
        "ratios": _ratios(throughput, usage, creates, validate),
        "targets": TARGETS,
    }


def _series(measured: Measured) -> dict[str, dict[str, float]]:
    return {name: series.as_json() for name, series in measured.items()}


def _ratios(
    throughput: dict[Key, Measured],
    usage: dict[str, dict[str, Usage]],
    creates: dict[str, Measured],
    validate: tuple[Series, Series],
) -> dict[str, float]:
    """Return the ratios. Creating a bot takes two reviews, so mutate and validate count equally."""
    ratios: dict[str, float] = {}
    for workload in WORKLOADS:
        cpu = {
            name: sum(
                throughput[workload.name, endpoint, name]["cpu_us_per_review"].median
                for endpoint in ENDPOINTS
            )
            for name in NAMES
        }
        suffix = "" if workload.name == "sample_bot" else f"_{workload.name}"
        ratios[f"reviews_per_cpu_second_vs_go{suffix}"] = round(cpu["go"] / cpu["tradingbot"], 2)
    for endpoint in ENDPOINTS:
        pair = [throughput["sample_bot", endpoint, name]["cpu_us_per_review"] for name in NAMES]
        ratios[f"reviews_per_cpu_second_vs_go_{endpoint}"] = round(
            pair[1].median / pair[0].median, 2
        )
    for quantile in ("p50", "p99"):
        base = creates["none"][f"{quantile}_ms"].median
        added = {name: creates[name][f"{quantile}_ms"].median - base for name in VARIANTS}
        ratios |= {f"{quantile}_added_ms_{name}": round(added[name], 3) for name in VARIANTS[1:]}
        ratios[f"{quantile}_added_ms_vs_go"] = round(added["tradingbot"] - added["go"], 3)
    memory = usage["tradingbot"]["sample_bot"]
    ratios["memory_per_worker_mb"] = round(memory.pss_mb / memory.processes, 1)
    ratios["validate_1000_seconds"] = round(validate[0].median, 2)
    return ratios


def table(whole: Record) -> str:
    """Return the record as a table."""
    machine = whole["machine"]
    lines = [
        (
            f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']},"
            f" Go {machine['go']}; both give equal answers to {whole['parity']['reviews']} reviews"
        ),
        "",
        (
            f"{'one core, TLS':32} {'server':10} {'reviews/s':>18} {'CPU us/review':>20}"
            f" {'p50 us*':>8} {'p99 us*':>8}"
        ),
    ]
    for workload in WORKLOADS:
        for endpoint in ENDPOINTS:
            for name in NAMES:
                values = whole["throughput"][workload.name][endpoint][name]
                lines.append(
                    f"{workload.title[:22] + ', ' + endpoint:32} {name:10}"
                    f" {spread(values['reviews_per_second'], 0):>18}"
                    f" {spread(values['cpu_us_per_review'], 0):>20}"
                    f" {values['half_peak_p50_us']['median']:8.0f}"
                    f" {values['half_peak_p99_us']['median']:8.0f}"
                )
    lines += ["* open loop at half of the server's own peak", ""]
    lines.append(f"{'create through the API server':32} {'p50 ms':>18} {'p99 ms':>20}")
    lines += [
        f"{_TITLES[name]:32} {spread(values['p50_ms'], 2):>18} {spread(values['p99_ms'], 2):>20}"
        for name, values in whole["creates"].items()
    ]
    lines += ["", f"{'memory after the workload, MB':32} {'peak RSS':>18} {'PSS':>20}"]
    lines += [
        f"{name + ', ' + workload:32} {used['peak_rss']:18.1f} {used['pss']:20.1f}"
        for name, by_workload in whole["memory_mb"].items()
        for workload, used in by_workload.items()
    ]
    lines += ["", f"{'ratios':40} {'target':>12}"]
    lines += [
        f"{name:40} {whole['targets'].get(name, ''):>12} {value:>10}"
        for name, value in whole["ratios"].items()
    ]
    return "\n".join(lines) + "\n"
