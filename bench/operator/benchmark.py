"""Measure the operators in turn at each size, each run on a new control plane."""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.common.peer import build
from bench.common.processes import NAMES, ServerName
from bench.common.series import Measured, Say, Series
from bench.operator import report
from bench.operator.cluster import cluster
from bench.operator.parity import check_operators
from bench.operator.risk_polls import measure as measure_polls
from bench.operator.run import RunPlan, Values, run


@dataclass(frozen=True)
class OperatorPlan:
    """The numbers of bots, the rounds, and the operators."""

    rounds: dict[int, int]
    """Rounds by number of bots."""
    names: tuple[ServerName, ...] = NAMES
    idle_seconds: float = 60.0
    """The idle phase of the first round of each size: until every Secret was checked."""
    polled: int = 0
    """The number of bots whose risk is polled."""
    poll_seconds: float = 30.0


FULL = OperatorPlan({100: 3, 1000: 1, 5000: 1}, polled=5000)
QUICK = OperatorPlan({100: 1}, idle_seconds=0)


def add_operator_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the operators' benchmark."""
    parser.add_argument(
        "--only", choices=NAMES, help="operator: measure this operator only; writes no results"
    )
    parser.add_argument(
        "--bots", type=int, help="operator: one round with this number of bots; writes no results"
    )


def operator(arguments: argparse.Namespace, *, results: Path, say: Say) -> None:
    """Measure the operator and its peer in Go."""
    plan = _plan(arguments)
    peer: Path | None = None
    go_version = "not used"
    if "go" in plan.names:
        (peer,), go_version = build(("operator",), title="the operator in Go, once")
    parity = check_operators(peer, say=say) if peer and plan.names == NAMES else None
    polls: dict[str, float] = {}
    measured: report.Results = {}

    def record() -> report.Record:
        whole = report.record(measured, parity=parity, polls=polls, go_version=go_version)
        if plan == FULL:
            results.mkdir(exist_ok=True)
            (results / "operator.json").write_text(json.dumps(whole, indent=2) + "\n")
        return whole

    for bots in plan.rounds:
        measured[bots] = _measure(plan, bots, peer=peer, say=say)
        record()  # written at once: the next size takes long and may fail
    if plan.polled:
        say(f"polls of {plan.polled} bots")
        polls |= measure_polls(plan.polled, plan.poll_seconds)
    sys.stdout.write(report.table(record()))


def _plan(arguments: argparse.Namespace) -> OperatorPlan:
    names: tuple[ServerName, ...] = (arguments.only,) if arguments.only else NAMES
    plan = QUICK if arguments.quick else FULL
    if arguments.bots:
        return OperatorPlan({arguments.bots: 1}, names, plan.idle_seconds)
    if arguments.only:
        return OperatorPlan(plan.rounds, names, plan.idle_seconds, plan.polled)
    return plan


def _measure(plan: OperatorPlan, bots: int, *, peer: Path | None, say: Say) -> dict[str, Measured]:
    """Run all rounds of one size. The operator that runs first alternates."""
    results: dict[str, Measured] = {name: {} for name in plan.names}
    for number in range(plan.rounds[bots]):
        run_plan = RunPlan(bots, plan.idle_seconds if number == 0 else 0.0)
        for name in plan.names if number % 2 == 0 else plan.names[::-1]:
            values = measure_one(name, run_plan, peer=peer, say=say)
            for key, value in values.items():
                results[name].setdefault(key, Series()).values.append(value)
    return results


def measure_one(name: ServerName, plan: RunPlan, *, peer: Path | None, say: Say) -> Values:
    """Run one operator once at one size."""
    with cluster(name, bots=plan.bots, peer=peer, audit=False) as running:
        try:
            return run(running, plan, say)
        except BaseException:
            log = running.plane.table.log_file(f"operator-{name}")
            if log.exists():
                sys.stderr.write(log.read_text(errors="replace")[-3000:])
            raise
