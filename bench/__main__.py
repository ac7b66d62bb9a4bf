"""`python -m bench {webhooks,operator} [--quick]`: measures, prints a table, keeps it as JSON."""

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import report
from bench.creates import measure_creates
from bench.offline import measure_validate
from bench.operator_bench import add_operator_arguments, operator
from bench.parity import Parity, check
from bench.peer import GoPrograms, build_go_programs
from bench.servers import Cores, Usage, make_certificates, running
from bench.throughput import FULL, QUICK, Key, Measured, Plan, make_load, measure

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Runs the benchmark that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "benchmark", nargs="?", choices=["webhooks", "operator"], default="webhooks"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few and short rounds, to try it; results are not kept"
    )
    add_operator_arguments(parser)
    arguments = parser.parse_args()
    if arguments.benchmark == "operator":
        operator(arguments, results=RESULTS, say=_say)
    elif arguments.only or arguments.bots:
        parser.error("--only and --bots are for the operator")
    else:
        webhooks(quick=arguments.quick)


def webhooks(*, quick: bool) -> None:
    """The admission server against its peer in Go."""
    programs = build_go_programs()
    plan = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="tradingbot-bench-") as folder:
        certificates, logs = Path(folder) / "certs", Path(folder)
        make_certificates(certificates)
        parity, results, usage = _on_one_core(programs, plan, certificates, logs)
        creates = measure_creates(
            programs,
            certificates=certificates,
            logs=logs,
            # Many short rounds: whatever disturbs the machine for a while disturbs all alike.
            rounds=plan.rounds if quick else 20,
            creates=50 if quick else 100,
            say=_say,
        )
        _say("validate on 1,000 manifests")
        validate = measure_validate(rounds=plan.rounds)
    record = report.record(
        programs=programs,
        parity=parity,
        throughput=results,
        usage=usage,
        creates=creates,
        validate=validate,
        plan=plan,
    )
    sys.stdout.write(report.table(record))
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "webhooks.json").write_text(json.dumps(record, indent=2) + "\n")


def _on_one_core(
    programs: GoPrograms, plan: Plan, certificates: Path, logs: Path
) -> tuple[Parity, dict[Key, Measured], dict[str, dict[str, Usage]]]:
    """Both servers on one core, the load on another: first that they agree, then how fast."""
    cores = Cores.choose()
    with ExitStack() as stack:
        ours, peer = (
            stack.enter_context(
                running(
                    name,
                    webhook=programs.webhook,
                    certificates=certificates,
                    logs=logs,
                    core=cores.server,
                )
            )
            for name in ("tradingbot", "go")
        )
        _say("that both servers say the same")
        parity = check(ours, peer, ca=certificates / "ca.crt")
        usage: dict[str, dict[str, Usage]] = {"tradingbot": {}, "go": {}}

        def note_memory(workload: str) -> None:
            for server in (ours, peer):
                usage[server.name][workload] = server.usage()

        load = make_load(programs, certificates=certificates, cores=cores, folder=logs)
        servers = {ours.name: ours, peer.name: peer}
        results = measure(servers, load, plan, _say, note_memory)
        return parity, results, usage


def _say(text: str) -> None:
    print(f"measuring: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
