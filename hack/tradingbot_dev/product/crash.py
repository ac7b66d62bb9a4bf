"""`make crash` and `make calm`: let the market of the simulated exchanges fall, and end that."""

import time
from collections.abc import Callable

from tradingbot_dev.product import demo_view, tour
from tradingbot_dev.product.demo import Demo
from tradingbot_dev.product.exchanges import CRASH
from tradingbot_dev.progress import Progress

PATIENCE = 30.0
"""Seconds in which a bot that reaches its limit is halted, also on a busy machine."""
_POLL_SECONDS = 0.2


def crash(demo: Demo, *, progress: Progress, clock: Callable[[], float] = time.monotonic) -> str:
    """Let the market fall, and wait until a bot is halted. Return what there is to say.

    Raises NotReadyError if an exchange does not run.
    """
    before = _halted(demo)
    began = clock()
    fallen = [exchange.crash() for exchange in demo.exchanges.all]
    if not any(fallen):
        return "the market has fallen already; to end the crash: make calm"
    fall = f"the market falls by {CRASH['percent']} % within {CRASH['over']}"
    progress.step(fall)
    while not (new := _halted(demo) - before) and clock() - began < PATIENCE:
        progress.update("waiting for a bot that reaches its daily loss limit")
        time.sleep(_POLL_SECONDS)
    taken = clock() - began
    progress.clear()
    said = [tour.halt_text(halt) for halt in demo_view.observe(demo).halts if halt.bot in new]
    if new:
        progress.step(f"halted after {taken:.1f} s: {', '.join(sorted(new))}\n")
    else:
        earlier = f"; halted before: {', '.join(sorted(before))}" if before else ""
        said.append(f"no bot has lost as much as its dailyLossLimit{earlier}")
    return "\n".join((*said, "to end the crash: make calm"))


def calm(demo: Demo) -> str:
    """End all faults. Return what there is to say. Raises NotReadyError."""
    ended = [exchange.calm() for exchange in demo.exchanges.all]
    if any(ended):
        return "prices return; a halted bot stays halted until its next trading day"
    return "the market is calm already"


def _halted(demo: Demo) -> set[str]:
    return {
        bot["metadata"]["name"] for bot in demo.stored() if bot["status"].get("phase") == "Halted"
    }
