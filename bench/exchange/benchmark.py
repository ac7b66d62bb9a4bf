"""The simulated exchange: its matching engine alone, and through REST."""

import json
import os
import sys
from pathlib import Path

from bench.common.machine import hardware
from bench.common.series import Say
from bench.exchange import report
from bench.exchange.engine import FULL, QUICK, measure_engine
from bench.exchange.rest import measure_rest


def exchange(*, quick: bool, results: Path, say: Say) -> None:
    """Measure on one core, print the table, and write the record unless `quick`."""
    plan = QUICK if quick else FULL
    machine = hardware()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    record = report.record(
        machine=machine, engine=measure_engine(plan, say), rest=measure_rest(plan, say), plan=plan
    )
    sys.stdout.write(report.table(record))
    if not quick:
        results.mkdir(exist_ok=True)
        (results / "exchange.json").write_text(json.dumps(record, indent=2) + "\n")
