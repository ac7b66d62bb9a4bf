"""Record the commands of the picture against a system of its own, which `make up` would start."""

import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product import lifecycle
from tradingbot_dev.product.crash import crash
from tradingbot_dev.product.demo import CARELESS, Demo
from tradingbot_dev.product.system import System
from tradingbot_dev.progress import Progress

SECONDS = 240.0
COLUMNS = 108
BOTS = "kubectl get tbot"
PATCH = (
    f"kubectl patch tbot {CARELESS} --type=merge"
    """ -p '{"spec":{"riskManagement":{"maxPositionSize":"0","stopLossPercentage":"150"}}}'"""
)
LOG = f"kubectl logs deploy/{CARELESS} --tail=2"
REASON = f"kubectl get tbot {CARELESS} -o jsonpath='{{.status.risk.haltReason}}'"
CONTINUATION = " \\\n    "


def record() -> str:
    """Return what a user types, with what the real commands print."""
    progress = Progress()
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory) / "local"
        try:
            return _record(lifecycle.up(state, progress=progress).system, progress)
        finally:
            lifecycle.clean(state)


def _record(system: System, progress: Progress) -> str:
    parts = [
        "# make up has started bots on simulated exchanges.\n"
        + _run(system, BOTS, until=lambda shown: " 0.00000000" not in shown),
        "# A dangerous change is refused, with every mistake at once.\n" + _run(system, PATCH),
        "# This bot knows no limit. The gateway in its pod does.\n"
        + _run(system, LOG, until=lambda shown: shown.endswith("}")),
    ]
    crash(Demo(system), progress=progress)
    parts.append(
        "# The market falls by 20 %. At their dailyLossLimit, bots are halted until the next day.\n"
        + _run(system, BOTS, until=lambda shown: "Stopping" not in shown)
    )
    parts.append(_run(system, REASON))
    return "\n\n".join(parts) + "\n"


def _run(system: System, command: str, *, until: Callable[[str], bool] = bool) -> str:
    """Run a kubectl command, again until its output is as wanted; return both."""
    shown = ""

    def is_done() -> bool:
        nonlocal shown
        done = system.plane.kubectl(*shlex.split(command)[1:])
        shown = (done.stderr + done.stdout).strip()
        return until(shown)

    wait_until(is_done, what=command, seconds=SECONDS)
    lines = [part for line in shown.splitlines() for part in _wrapped(line.rstrip())]
    return "\n".join((f"$ {command.replace(' -p ', f'{CONTINUATION}-p ')}", *lines))


def _wrapped(line: str) -> list[str]:
    return [line[at : at + COLUMNS] for at in range(0, len(line), COLUMNS)] or [""]
