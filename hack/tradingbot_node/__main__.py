"""Run the product on a real node, as in a user's cluster.

`build` builds what `test` needs, but for the product's image: programs, base images, and the image
of the strategies. `test` runs `e2e/cluster` and takes pytest's arguments. `up` leaves a node
running, for work on those tests, and `down` removes it.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from flakes import LIST_VARIABLE
from tradingbot_dev.errors import LocalClusterError
from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain.assets import find_assets

from tradingbot_node.binaries import find_binaries
from tradingbot_node.cluster import KEEP_VARIABLE, running_node
from tradingbot_node.host import leftovers
from tradingbot_node.host.commands import NodeImpossibleError
from tradingbot_node.host.prerequisites import demand_node
from tradingbot_node.images.own import strategies_image

ROOT = Path(__file__).parents[2]
TESTS = "e2e/cluster"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tradingbot_node", description=__doc__)
    parser.add_argument("command", choices=("build", "test", "up", "down"))
    command, rest = parser.parse_known_args(arguments)
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    progress = Progress()
    try:
        return _run(command.command, rest, progress)
    except NodeImpossibleError as error:
        # In CI nobody can change the machine, so report this in one line and go on.
        skipped = os.environ.get("CI") == "true"
        print(f"{'skipped' if skipped else 'error'}: {TESTS} did not run: {error}", flush=True)
        return 0 if skipped else 1
    except LocalClusterError as error:
        if error.detail:
            print(error.detail, file=sys.stderr)
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


def _run(command: str, rest: list[str], progress: Progress) -> int:
    if command == "down":
        with leftovers.only_one(progress):
            leftovers.remove()
        return 0
    demand_node(progress)
    if command == "up":
        os.environ[KEEP_VARIABLE] = "1"
        with running_node(progress=progress) as node:
            print(f"export KUBECONFIG={node.kubeconfig}")
        return 0
    # Before pytest, which would show no progress for minutes.
    find_assets(progress=progress)
    find_binaries(progress=progress)
    if command == "build":
        strategies_image(progress=progress)
        return 0
    return _become_pytest(_chosen(rest))


def _chosen(rest: list[str]) -> list[str]:
    """Return pytest's arguments: all tests of the node unless some are named.

    All of them take three workers, which share the node: they wait more than they compute.
    """
    if not rest:
        return [TESTS, "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"]
    named = any(not argument.startswith("-") and TESTS in argument for argument in rest)
    return rest if named else [TESTS, *rest]


def _become_pytest(arguments: list[str]) -> NoReturn:
    sys.stdout.flush()
    os.chdir(ROOT)
    runner = "flakes" if os.environ.get(LIST_VARIABLE) else "pytest"
    os.execv(sys.executable, [sys.executable, "-m", runner, *arguments])


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
