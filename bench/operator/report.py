"""The results of the operators' benchmark: a record, and a table for readers."""

from datetime import UTC, datetime
from typing import Any

from bench.common.machine import machine
from bench.common.series import Measured, spread
from bench.common.targets import at_most, judged, under
from bench.operator.parity import OperatorParity

Record = dict[str, Any]
Results = dict[int, dict[str, Measured]]
"""By number of bots, operator and quantity."""


TARGETS = {
    "settle_time_vs_go_100": at_most(1.1),
    "settle_time_vs_go_1000": at_most(1.1),
    "settle_time_vs_go_5000": at_most(1.1),
    "api_writes_per_bot_vs_go": at_most(1),
    "restart_child_writes_5000": at_most(0),
    "restart_seconds_5000": at_most(10),
    "edit_seconds_5000": under(1),
    "memory_mb_5000": under(200),
    "idle_core_5000": under(0.01),
    "risk_polls_core_5000": under(0.5),
}

_LINES = (
    ("settle_seconds", "settle: seconds", 2),
    ("settle_cpu_seconds", "  its CPU seconds", 2),
    ("settle_control_plane_cpu_seconds", "  the control plane's CPU seconds", 1),
    ("settle_requests_per_bot", "  requests per bot", 2),
    ("settle_writes_per_bot", "  writes per bot", 2),
    ("settle_reconciles_per_bot", "  reconciles per bot", 2),
    ("settle_peak_rss_mb", "  peak RSS, MB", 1),
    ("settle_peak_pss_mb", "  peak PSS, MB", 1),
    ("idle_core", "idle: cores", 4),
    ("idle_requests_per_second", "  requests per second", 1),
    ("restart_seconds", "restart: seconds", 2),
    ("restart_cpu_seconds", "  its CPU seconds", 2),
    ("restart_requests_per_bot", "  requests per bot", 2),
    ("restart_child_writes", "  writes of children", 0),
    ("restart_children_changed", "  children changed", 0),
    ("restart_writes", "  writes of all kinds", 0),
    ("restart_peak_rss_mb", "  peak RSS, MB", 1),
    ("restart_peak_pss_mb", "  peak PSS, MB", 1),
    ("edit_seconds", "edit of one bot: seconds", 3),
    ("edit_max_seconds", "  the slowest of ten", 3),
    ("restore_seconds", "children deleted, 100 bots: seconds", 2),
    ("restore_delete_seconds", "  the deletion itself", 2),
)


def record(
    results: Results, *, parity: OperatorParity | None, polls: dict[str, float], go_version: str
) -> Record:
    """Return everything that was measured, and the ratios and figures with targets."""
    figures = _ratios(results) | _figures(results)
    if polls:
        figures[f"risk_polls_core_{polls['bots']:.0f}"] = polls["cpu_cores"]
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "machine": machine(go_version, ("aiohttp", "kopf", "pydantic")),
        "method": {
            "rounds": {
                str(bots): max(
                    len(measured["settle_seconds"].values) for measured in by_name.values()
                )
                for bots, by_name in results.items()
            },
            "values": "median, min and max over rounds; the operators take turns in each",
        },
        "parity": None
        if parity is None
        else {"bots": parity.bots, "objects": parity.objects, "writes": parity.writes},
        "runs": {
            str(bots): {
                name: {key: series.as_json() for key, series in measured.items()}
                for name, measured in by_name.items()
            }
            for bots, by_name in results.items()
        },
        "risk_polls": polls,
        "ratios": {key: round(value, 4) for key, value in figures.items()},
        "targets": {key: target.text for key, target in TARGETS.items()},
        "met": {key: TARGETS[key].holds(value) for key, value in figures.items() if key in TARGETS},
    }


def _ratios(results: Results) -> dict[str, float]:
    ratios: dict[str, float] = {}
    for bots, by_name in results.items():
        if by_name.keys() < {"tradingbot", "go"}:
            continue
        ours, peers = by_name["tradingbot"], by_name["go"]

        def ratio(key: str, ours: Measured = ours, peers: Measured = peers) -> float:
            return ours[key].median / peers[key].median

        ratios[f"settle_time_vs_go_{bots}"] = ratio("settle_seconds")
        ratios[f"cpu_vs_go_{bots}"] = ratio("settle_cpu_seconds")
        ratios[f"memory_vs_go_{bots}"] = _memory(ours) / _memory(peers)
        # The last size has the most bots, so its value is kept.
        ratios["api_writes_per_bot_vs_go"] = ratio("settle_writes_per_bot")
    return ratios


def _figures(results: Results) -> dict[str, float]:
    figures: dict[str, float] = {}
    for bots, by_name in results.items():
        ours = by_name.get("tradingbot")
        if ours is None:
            continue
        figures[f"restart_child_writes_{bots}"] = max(
            *ours["restart_child_writes"].values, *ours["restart_children_changed"].values
        )
        for key in ("restart_seconds", "edit_seconds", "idle_core"):
            if key in ours:
                figures[f"{key}_{bots}"] = ours[key].median
        figures[f"memory_mb_{bots}"] = _memory(ours)
    return figures


def _memory(measured: Measured) -> float:
    """Return the highest RSS of a process that started with no bots or with all bots."""
    return max(measured["settle_peak_rss_mb"].median, measured["restart_peak_rss_mb"].median)


def table(whole: Record) -> str:
    """Return the record as a table."""
    where = whole["machine"]
    cores, python = f"{where['cores']} cores of {where['processor']}", where["python"]
    lines = [f"{cores}, Python {python}, Go {where['go']}"]
    if whole["parity"] is not None:
        objects = whole["parity"]["objects"]
        lines += [f"both have the same {objects} bots and children"]
    lines.append("")
    for bots, by_name in whole["runs"].items():
        lines.append(f"{bots + ' bots':36}" + "".join(f"{name:>26}" for name in by_name))
        for key, title, digits in _LINES:
            cells = [_spread(measured.get(key), digits) for measured in by_name.values()]
            if any(cells):
                lines.append(f"{title:36}" + "".join(f"{cell:>26}" for cell in cells))
        lines.append("")
    lines += judged("figures", whole["ratios"], whole, width=36, target=14)
    return "\n".join(lines) + "\n"


def _spread(values: dict[str, float] | None, digits: int) -> str:
    if values is None:
        return ""
    if values["min"] == values["max"]:
        return f"{values['median']:.{digits}f}"
    return spread(values, digits)
