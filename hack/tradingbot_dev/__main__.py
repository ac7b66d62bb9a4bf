"""Run the whole system on this machine, on a real control plane with a simulated node."""

import argparse
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from tradingbot_dev.errors import LocalClusterError
from tradingbot_dev.product import crash, lifecycle, live, tour
from tradingbot_dev.product.demo import Demo
from tradingbot_dev.product.system import System
from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain import strategies_environment
from tradingbot_dev.toolchain.assets import find_assets
from tradingbot_dev.toolchain.helm import find_helm

COMMANDS = {
    "up": "start what is not running; the first time, apply the samples and show a tour",
    "down": "stop everything that `up` started, and keep the state",
    "clean": "stop everything, and remove the state",
    "status": "list the processes and addresses",
    "restart": "restart webhooks, registry, operator and exchanges with the current code",
    "assets": "build what the tests need, unless it is cached",
    "tour": "show the demo, until q is pressed; without a terminal, the tour of `up` again",
    "crash": "let the market of the simulated exchanges fall, and show which bot is halted",
    "calm": "end the crash: prices return",
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tradingbot_dev", description=__doc__)
    parser.add_argument(
        "--state", type=Path, default=lifecycle.LOCAL, help="directory of the state"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, description in COMMANDS.items():
        commands.add_parser(name, help=description, description=description)
    parsed = parser.parse_args(arguments)
    interrupt = Interrupt()
    # A shell starts background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as `nohup` sets it
        signal.signal(signal.SIGHUP, interrupt)
    try:
        return run(parsed.command, parsed.state.resolve())
    except LocalClusterError as error:
        if interrupt.received:  # it came while something else was being undone
            return _interrupted()
        if error.detail:
            print(error.detail, file=sys.stderr)
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader closed the pipe (`make up | head`). Python would report that again when it
        # flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _interrupted()


def _interrupted() -> int:
    with suppress(OSError):  # the terminal may be gone
        print("\ninterrupted", file=sys.stderr)
    return 130


def run(command: str, state: Path) -> int:
    progress = Progress()
    match command:
        case "up":
            outcome = lifecycle.up(state, progress=progress)
            if outcome.first:
                print(tour.whole(outcome.system))
            print(tour.places(outcome.system))
        case "restart":
            lifecycle.restart(state)
            lifecycle.up(state, progress=progress)
        case "down" | "clean":
            stopped = (lifecycle.down if command == "down" else lifecycle.clean)(state)
            print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
        case "assets":
            find_assets(progress=progress)
            find_helm(progress=progress)
            strategies_environment.STRATEGIES.install(progress=progress)
        case "status":
            running = lifecycle.status(state)
            for name, pid in running.items():
                print(f"{name:24} {f'running, pid {pid}' if pid else 'not running'}")
            if not all(running.values()):
                print("\nto start the others: make up")
                return 1
            print(f"\n{tour.places(lifecycle.system_of(state))}", end="")
        case "tour":
            outcome = lifecycle.up(state, progress=progress)
            _tour(outcome.system)
        case "crash" | "calm":
            demo = Demo(lifecycle.system_of(state))
            print(crash.crash(demo, progress=progress) if command == "crash" else crash.calm(demo))
    return 0


def _tour(system: System) -> None:
    if live.can_show():
        live.show(Demo(system))
    else:
        print(tour.whole(system))
        print(tour.places(system))


class Interrupt:
    """A signal handler that raises KeyboardInterrupt at the first signal and ignores later ones.

    `make` passes SIGTERM on to a process that its own group has sent SIGTERM already. A second
    exception would end the stopping that the first one began, and leave processes behind.
    """

    def __init__(self) -> None:
        self.received = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if not self.received:
            self.received = True
            raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
