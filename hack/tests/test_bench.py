"""The pure parts of the registry's benchmark, and how a benchmark ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tradingbot_dev.processes.waiting import STUCK_SECONDS

from bench import ROOT
from bench.common.series import Series, quantile
from bench.common.targets import at_least, at_most, under
from bench.exchange import report as exchange_report
from bench.exchange.engine import QUICK, RESTING
from bench.registry import report
from bench.registry.comparison import OPERATIONS
from bench.registry.load import content_length
from bench.registry.parity import COUNTED, bounded

# It takes its time to end, and lets its benchmark get another signal meanwhile, as from `make`.
SERVER = """
import http.server, os, signal, sys, time
def end(*_):
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(0.5)
    sys.exit()
signal.signal(signal.SIGTERM, end)
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""
BENCHMARK = """
import json, signal, sys
from pathlib import Path
import bench.__main__ as program
from bench.common.processes import Cores
from bench.registry.servers import Service, all_running

server, logs = sys.argv.pop(), Path(sys.argv.pop())

def measure(**_):
    found = {name: Service(name, (sys.executable, "-c", server, "{port}"), {}) for name in "ab"}
    with all_running(found, core=Cores.choose().server, logs=logs, names=list("ab")) as servers:
        print(json.dumps([server.process.pid for server in servers.values()]), flush=True)
        while True:
            signal.pause()

program.registry = measure
program.main()
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_benchmark_that_gets_sigterm_ends_its_servers(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BENCHMARK, "registry", "--quick", str(tmp_path), SERVER]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as benchmark:
        assert benchmark.stdout is not None
        servers = json.loads(benchmark.stdout.readline())
        try:
            assert all(is_running(pid) for pid in servers)
            benchmark.send_signal(signal.SIGTERM)
            assert benchmark.wait(STUCK_SECONDS) == 128 + signal.SIGTERM
            assert not any(is_running(pid) for pid in servers)
        finally:
            benchmark.kill()
            for pid in filter(is_running, servers):
                os.kill(pid, signal.SIGKILL)


def found(
    *, own: float = 300, fastapi: float = 200, axum: float = 6000, page: float = 5
) -> report.Record:
    """What is measured of one database."""

    def measured(rate: float) -> dict[str, Any]:
        values = {"median": rate, "min": rate, "max": rate}
        latency = {"median": 20.0, "min": 10.0, "max": 30.0}
        return {"requests_per_cpu_second": values, "p50_ms": latency, "p99_ms": latency}

    rates = {"tradingbot": own, "fastapi": fastapi, "axum": axum}
    times = {"p50_ms": 2.0, "p99_ms": page}
    return {
        "equal_answers": 10,
        "megabytes": 1.5,
        "cold_start_seconds": {"median": 0.5},
        "compared": {
            operation: {name: measured(rate) for name, rate in rates.items()}
            for operation in OPERATIONS
        },
        "alone": {
            "pages": {"status": times, "effective_status": times | {"p50_ms": 2.8}},
            "paging": {"first": times, "deep": times | {"p50_ms": 2.5}},
            "dependents": {"p50_ms": 40.0, "p99_ms": 60.0},
            "totals_exact": 1,
            "upsert_without_write_lock": 1,
            "peak_rss_mb": 80.0,
        },
    }


def record(databases: dict[str, dict[int, report.Record]]) -> report.Record:
    return report.record(databases=databases, wsgi={}, method={}, versions={"axum": "0.8"})


def test_a_ratio_is_the_worst_of_all_databases_and_sizes() -> None:
    ratios = record(
        {
            "sqlite": {1_000: found(), 100_000: found(own=150, page=4)},
            "postgresql": {1_000: found(page=12), 100_000: found(fastapi=250)},
        }
    )["ratios"]
    assert ratios["get_requests_per_cpu_second_vs_fastapi"] == 0.75
    assert ratios["create_requests_per_cpu_second_vs_axum"] == 0.025
    assert ratios["filtered_page_p99_ms"] == 12
    assert ratios["effective_status_vs_status"] == 1.4
    assert ratios["deep_page_vs_first"] == 1.25


def test_the_hub_has_its_10000_dependents_in_large_databases_alone() -> None:
    assert "dependents_10000_ms" not in record({"sqlite": {1_000: found()}})["ratios"]
    assert record({"sqlite": {100_000: found()}})["ratios"]["dependents_10000_ms"] == 40


def test_a_target_is_met_or_not() -> None:
    met = record({"sqlite": {1_000: found(own=150, page=10)}})["met"]
    assert met["get_requests_per_cpu_second_vs_fastapi"] is False
    assert met["filtered_page_p99_ms"] is False
    assert met["deep_page_vs_first"] is True
    assert met["cold_start_seconds"] is True


def test_limits_say_whether_they_are_included() -> None:
    limits = (under(10), at_most(10), at_least(10))
    assert [limit.holds(10) for limit in limits] == [False, True, True]
    assert [limit.holds(9) for limit in limits] == [True, True, False]
    assert [limit.text for limit in limits] == ["under 10", "at most 10", "at least 10"]


def test_the_table_shows_each_server_and_each_missed_target() -> None:
    lines = report.table(record({"sqlite": {1_000: found(own=150)}})).splitlines()
    assert (
        "sqlite, 1,000 assets: 10 equal answers; cold start 0.50 s; 2 MB, peak RSS 80 MB" in lines
    )
    (get,) = (line.split() for line in lines if line.split()[:2] == ["get", "tradingbot"])
    assert get[2:] == ["150", "(150-150)", "20.00", "20.00"]
    missed = {line.split()[0] for line in lines if line.endswith("  NO")}
    assert missed == {
        "get_requests_per_cpu_second_vs_fastapi",
        "list_requests_per_cpu_second_vs_fastapi",
    }


def test_the_median_is_of_the_rounds_unless_there_is_one_of_all() -> None:
    assert Series([3, 1, 2]).as_json() == {"median": 2, "min": 1, "max": 3}
    assert Series([3, 1, 2], whole=2.5).as_json() == {"median": 2.5, "min": 1, "max": 3}


def test_a_quantile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [quantile(values, percent) for percent in (0, 50, 99, 100)] == [1, 51, 100, 100]
    assert quantile([7.0], 99) == 7


def test_an_answer_without_a_length_has_no_body() -> None:
    assert content_length(b"HTTP/1.1 204 No Content\r\nServer: x") == 0
    assert content_length(b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 12\r\nServer: x") == 12


def test_a_total_beyond_what_is_counted_is_the_same_however_a_server_says_it() -> None:
    as_registry, as_peer = {"total": COUNTED, "more": True}, {"total": COUNTED + 1}
    assert bounded(as_registry) == bounded(as_peer) == bounded({}) == COUNTED + 1
    assert bounded({"total": COUNTED, "more": False}) == bounded({"total": COUNTED}) == COUNTED


def exchange_record(*, engine: float = 30_000, rest: float = 3_000) -> report.Record:
    """Return a record of the exchange's benchmark, as it is read from its file."""

    def measured(**values: float) -> dict[str, Series]:
        return {name: Series([value]) for name, value in values.items()}

    def of_engine() -> dict[str, Series]:
        return measured(orders_per_second=engine, p50_us=20, p99_us=80, slowest_us=300)

    whole = exchange_report.record(
        machine={"cores": 2, "processor": "P", "python": "3.13"},
        engine={resting: of_engine() for resting in RESTING},
        rest=measured(orders_per_second=rest, alone_per_second=2_400, p50_us=500, p99_us=26_330.1),
        plan=QUICK,
    )
    read: report.Record = json.loads(json.dumps(whole))
    return read


def test_the_exchanges_record_has_all_that_its_table_shows() -> None:
    whole = exchange_record(engine=19_000)
    assert set(whole["targets"]) == set(whole["met"]) <= set(whole["figures"])
    assert whole["targets"]["rest_orders_per_second"] == "at least 2500"
    assert whole["met"]["rest_orders_per_second"] is True
    assert whole["met"]["engine_orders_per_second_100000"] is False
    lines = exchange_report.table(whole).splitlines()
    (alone,) = (line.split() for line in lines if line.startswith("one connection"))
    assert alone[2:] == [
        *("2400", "(2400-2400)", "500.0", "(500.0-500.0)"),
        *("26330.1", "(26330.1-26330.1)"),
    ]
    missed = [line.split()[0] for line in lines if line.endswith(" NO")]
    assert missed == [f"engine_orders_per_second_{resting}" for resting in RESTING]
    assert exchange_record(rest=2_400)["met"]["rest_orders_per_second"] is False
