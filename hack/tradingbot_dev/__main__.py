"""`python -m tradingbot_dev up | down | clean | status | restart | assets | tour`."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from tradingbot_dev import lifecycle, tour
from tradingbot_dev.assets import find_assets
from tradingbot_dev.errors import LocalClusterError
from tradingbot_dev.helm import find_helm
from tradingbot_dev.progress import Progress

COMMANDS = {
    "up": "start what is not running; the first time, apply the samples and show what happened",
    "down": "stop everything that `up` started; the state stays",
    "clean": "stop everything and remove the state",
    "status": "what runs, and where",
    "restart": "start webhooks, registry and operator anew, with the code as it is now",
    "assets": "build the binaries that tests need, if they are nowhere yet",
    "tour": "show once more what admission and operator made of the sample",
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tradingbot_dev", description=__doc__)
    parser.add_argument("--state", type=Path, default=lifecycle.LOCAL, help="folder of all state")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, description in COMMANDS.items():
        commands.add_parser(name, help=description, description=description)
    parsed = parser.parse_args(arguments)
    # Both, since a shell's background jobs are born with SIGINT ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(parsed.command, parsed.state.resolve())
    except LocalClusterError as error:
        if error.detail:
            print(error.detail, file=sys.stderr)
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read this has seen enough (`make up | head`). Python would complain once more
        # when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\ninterrupted; what this run had started is stopped", file=sys.stderr)
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
        case "status":
            running = lifecycle.status(state)
            for name, pid in running.items():
                print(f"{name:24} {f'running, pid {pid}' if pid else 'not running'}")
            if not all(running.values()):
                print("\nstart what is not running: make up")
                return 1
            print(f"\n{tour.places(lifecycle.system_of(state))}", end="")
        case "tour":
            outcome = lifecycle.up(state, progress=progress)
            print(tour.whole(outcome.system))
            print(tour.places(outcome.system))
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
