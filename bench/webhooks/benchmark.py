"""The webhooks and their peer in Go: throughput, creates through an API server, `validate`."""

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.common.processes import Cores, Usage
from bench.common.series import Measured, Say
from bench.webhooks import report
from bench.webhooks.creates import measure_creates
from bench.webhooks.offline import measure_validate
from bench.webhooks.parity import Parity, check
from bench.webhooks.peer import GoPrograms, build_go_programs
from bench.webhooks.servers import make_certificates, running
from bench.webhooks.throughput import FULL, QUICK, Key, Plan, make_load, measure


def webhooks(*, quick: bool, results: Path, say: Say) -> None:
    """Measure the admission server against its peer in Go."""
    programs = build_go_programs()
    plan = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="tradingbot-bench-") as directory:
        certificates, logs = Path(directory) / "certs", Path(directory)
        make_certificates(certificates)
        parity, throughput, usage = _on_one_core(programs, plan, certificates, logs, say)
        creates = measure_creates(
            programs,
            certificates=certificates,
            logs=logs,
            # Many short rounds: a disturbance of the machine affects all variants alike.
            rounds=plan.rounds if quick else 20,
            creates=50 if quick else 100,
            say=say,
        )
        say("validate on 1,000 manifests")
        validate = measure_validate(rounds=plan.rounds)
    record = report.record(
        programs=programs,
        parity=parity,
        throughput=throughput,
        usage=usage,
        creates=creates,
        validate=validate,
        plan=plan,
    )
    sys.stdout.write(report.table(record))
    if not quick:
        results.mkdir(exist_ok=True)
        (results / "webhooks.json").write_text(json.dumps(record, indent=2) + "\n")


def _on_one_core(
    programs: GoPrograms, plan: Plan, certificates: Path, logs: Path, say: Say
) -> tuple[Parity, dict[Key, Measured], dict[str, dict[str, Usage]]]:
    """Run both servers on one core and the load on another. Check parity, then measure."""
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
        say("whether both servers give the same answers")
        parity = check(ours, peer, ca=certificates / "ca.crt")
        usage: dict[str, dict[str, Usage]] = {"tradingbot": {}, "go": {}}

        def note_memory(workload: str) -> None:
            for server in (ours, peer):
                usage[server.name][workload] = server.usage()

        load = make_load(programs, certificates=certificates, cores=cores, directory=logs)
        servers = {ours.name: ours, peer.name: peer}
        results = measure(servers, load, plan, say, note_memory)
        return parity, results, usage
