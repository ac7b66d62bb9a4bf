"""The results of the exchange's benchmark: a record, and a table for readers."""

from datetime import UTC, datetime
from typing import Any

from bench.common.series import Measured, spread
from bench.common.targets import Target, at_least, judged
from bench.exchange.engine import RESTING, Plan
from bench.exchange.rest import CONNECTIONS

Record = dict[str, Any]

TARGETS: dict[str, Target] = {
    f"engine_orders_per_second_{resting}": at_least(20_000) for resting in RESTING
} | {"rest_orders_per_second": at_least(2_500)}


def record(
    *, machine: dict[str, Any], engine: dict[int, Measured], rest: Measured, plan: Plan
) -> Record:
    """Return everything that was measured, and the figures with targets."""
    figures = {
        f"engine_{name}_{resting}": round(measured[name].median, 1)
        for name in ("orders_per_second", "p50_us", "p99_us")
        for resting, measured in engine.items()
    } | {f"rest_{name}": round(series.median, 1) for name, series in rest.items()}
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "machine": machine,
        "method": {
            "rounds": plan.rounds,
            "orders_per_round": plan.orders,
            "rest_connections": CONNECTIONS,
            "rest_orders_per_round": plan.rest_orders,
            "rest_orders_per_round_alone": plan.rest_alone,
            "values": "median, min and max over rounds; orders per second of CPU time, the"
            " server's through REST; latencies are CPU time in the engine, real time through REST",
        },
        "engine": {
            str(resting): {name: series.as_json() for name, series in measured.items()}
            for resting, measured in engine.items()
        },
        "rest": {name: series.as_json() for name, series in rest.items()},
        "figures": figures,
        "targets": {name: target.text for name, target in TARGETS.items()},
        "met": {name: target.holds(figures[name]) for name, target in TARGETS.items()},
    }


def table(whole: Record) -> str:
    """Return the record as a table."""
    where = whole["machine"]
    lines = [
        f"{where['cores']} cores of {where['processor']}, Python {where['python']}",
        "",
        f"{'the engine, resting orders':28}{'orders/s':>22}{'p50 us':>24}{'p99 us':>28}",
    ]
    lines += [
        f"{int(resting):<28,}"
        f"{spread(values['orders_per_second'], 0):>22}"
        f"{spread(values['p50_us'], 1):>24}"
        f"{spread(values['p99_us'], 1):>28}"
        for resting, values in whole["engine"].items()
    ]
    rest = whole["rest"]
    lines += [
        "",
        f"{'through REST':28}{'orders/s':>22}{'p50 us':>24}{'p99 us':>28}",
        f"{f'{CONNECTIONS} connections':28}{spread(rest['orders_per_second'], 0):>22}",
        (
            f"{'one connection':28}{spread(rest['alone_per_second'], 0):>22}"
            f"{spread(rest['p50_us'], 1):>24}{spread(rest['p99_us'], 1):>28}"
        ),
    ]
    lines += ["", *judged("figures", whole["figures"], whole, width=36, target=18)]
    return "\n".join(lines) + "\n"
