"""The registry beside a FastAPI and an axum service, and by itself at up to a million assets."""

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.common.processes import Cores
from bench.common.series import Say
from bench.registry import alone, report, wsgi
from bench.registry.comparison import compare
from bench.registry.databases import POSTGRESQL, SQLITE, Seeded, seeded
from bench.registry.parity import check
from bench.registry.peers import Peers, prepared_peers
from bench.registry.servers import NAMES, all_running, services


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    kinds: tuple[str, ...]
    sizes: tuple[int, ...]
    rounds: int
    seconds: float
    """Of each server and operation, in each round."""
    pages: int
    """Pages of each filter, if `filter_seconds` suffice."""
    filter_seconds: float
    wsgi_rounds: int


FULL = Plan(
    kinds=(SQLITE, POSTGRESQL),
    sizes=(1_000, 100_000, 1_000_000),
    rounds=3,
    seconds=1.0,
    pages=300,
    filter_seconds=1.0,
    wsgi_rounds=3,
)
QUICK = Plan(
    kinds=(SQLITE,),
    sizes=(1_000, 10_000),
    rounds=1,
    seconds=0.5,
    pages=50,
    filter_seconds=0.3,
    wsgi_rounds=1,
)
WSGI_SIZE = 1_000
"""Assets of the database behind the WSGI servers: they see requests alone."""


def registry(*, quick: bool, results: Path, say: Say) -> None:
    """Measure all databases, print the table, and write the record unless `quick`."""
    plan, peers = QUICK if quick else FULL, prepared_peers()
    with tempfile.TemporaryDirectory(prefix="tradingbot-bench-") as directory:
        logs = Path(directory)
        found: dict[str, dict[int, report.Record]] = {}
        for kind in plan.kinds:
            for size in plan.sizes:
                with seeded(kind, size, say) as database:
                    found.setdefault(kind, {})[size] = _measure(database, peers, plan, logs, say)
        with seeded(SQLITE, WSGI_SIZE, say) as database:
            servers = wsgi.measure(
                database,
                rounds=plan.wsgi_rounds,
                seconds=plan.seconds,
                log=logs / "wsgi.log",
                say=say,
            )
    record = report.record(
        databases=found,
        wsgi=servers,
        method=asdict(plan),
        versions=peers.versions() | {"rust": peers.rust},
    )
    sys.stdout.write(report.table(record))
    if not quick:
        results.mkdir(exist_ok=True)
        (results / "registry.json").write_text(json.dumps(record, indent=2) + "\n")


def _measure(database: Seeded, peers: Peers, plan: Plan, logs: Path, say: Say) -> report.Record:
    """Compare the servers on a database, and measure the registry alone."""

    def told(text: str) -> None:
        say(f"{database.kind}, {database.size:,} assets: {text}")

    core = Cores.choose().server
    told("cold start")
    start = alone.cold_start(database, core=core, log=logs / "start.log")
    found = services(database.url, peers)
    with all_running(found, core=core, logs=logs, names=NAMES) as servers:
        told("whether all servers give the same answers")
        equal = check(servers, database.size)
        told("the registry alone")
        measured = alone.measure(
            servers["tradingbot"], database, pages=plan.pages, seconds=plan.filter_seconds
        )
        compared = compare(
            servers, database.size, rounds=plan.rounds, seconds=plan.seconds, say=told
        )
    return {
        "equal_answers": equal,
        "megabytes": database.bytes / 1e6,
        "cold_start_seconds": start.as_json(),
        "alone": measured,
        "compared": report.compared(compared),
    }
