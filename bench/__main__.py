"""Measure a part of the product against its peers, or the exchange alone.

Prints a table and writes it as JSON.
"""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from bench.exchange.benchmark import exchange
from bench.gateway.benchmark import gateway
from bench.operator.benchmark import add_operator_arguments, operator
from bench.registry.benchmark import registry
from bench.webhooks.benchmark import webhooks

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run a benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "benchmark",
        nargs="?",
        choices=["webhooks", "operator", "exchange", "gateway", "registry"],
        default="webhooks",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few and short rounds, to try it; writes no results"
    )
    add_operator_arguments(parser)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _unwind)
    if arguments.benchmark == "operator":
        operator(arguments, results=RESULTS, say=_say)
    elif arguments.only or arguments.bots:
        parser.error("--only and --bots need the benchmark `operator`")
    elif arguments.benchmark == "exchange":
        exchange(quick=arguments.quick, results=RESULTS, say=_say)
    elif arguments.benchmark == "gateway":
        gateway(quick=arguments.quick, results=RESULTS, say=_say)
    elif arguments.benchmark == "registry":
        registry(quick=arguments.quick, results=RESULTS, say=_say)
    else:
        webhooks(quick=arguments.quick, results=RESULTS, say=_say)


def _unwind(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """Leave all blocks, each of which ends its servers. A second signal does not disturb that."""
    signal.signal(number, lambda *_: None)  # Not SIG_IGN, which a new process would inherit.
    sys.exit(128 + number)


def _say(text: str) -> None:
    print(f"measuring: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
