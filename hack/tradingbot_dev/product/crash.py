"""`make crash` and `make calm`: let the market of the simulated exchanges fall, and end that."""

import time
from collections.abc import Callable, Sequence

from tradingbot_cli.orders.entries import Entry, Kind

from tradingbot_dev.product import demo_view, tour
from tradingbot_dev.product.demo import Demo
from tradingbot_dev.product.demo_view import has_gateway
from tradingbot_dev.product.exchanges import CRASH
from tradingbot_dev.progress import Progress

PATIENCE = 30.0
"""Seconds in which a bot that reaches its limit is halted, also on a busy machine."""
OTHERS_SECONDS = 3.0
"""How long others are waited for after the first one. The operator polls every 2 s."""
SHOWN = 8
"""Decisions of the gateway of a halted bot."""
LINES = 500
"""Of a gateway's log: a market maker's has ten lines and more in a second."""
_POLL_SECONDS = 0.2


def crash(demo: Demo, *, progress: Progress, clock: Callable[[], float] = time.monotonic) -> str:
    """Let the market fall, and wait until bots are halted. Return the text to print.

    Raises NotReadyError if an exchange does not run.
    """
    before = {name for name, phase in _halted(demo).items() if phase == "Halted"}
    decisions = _Decisions(demo)
    began = clock()
    fallen = [exchange.crash() for exchange in demo.exchanges.all]
    if not any(fallen):
        return "the market has fallen already; to end the crash: make calm"
    progress.step(f"the market falls by {CRASH['percent']} % within {CRASH['over']}")
    seconds: dict[str, float] = {}
    deadline = PATIENCE
    while (now := clock() - began) < deadline:
        progress.update("waiting for a bot that reaches its daily loss limit")
        decisions.read()
        halted = {name: phase for name, phase in _halted(demo).items() if name not in before}
        for name, phase in halted.items():
            if phase == "Halted" and name not in seconds:
                seconds[name] = now
        if seconds and set(halted) == set(seconds):
            deadline = min(seconds.values()) + OTHERS_SECONDS
        time.sleep(_POLL_SECONDS)
    progress.clear()
    if not seconds:
        earlier = f"; halted before: {', '.join(sorted(before))}" if before else ""
        return (
            f"no bot has lost as much as its dailyLossLimit{earlier}\nto end the crash: make calm"
        )
    each = ", ".join(f"{name} after {taken:.1f} s" for name, taken in seconds.items())
    progress.step(f"halted: {each}\n")
    halts = [
        halt
        for halt in demo_view.observe(demo, decisions=decisions.new).halts
        if halt.bot in seconds
    ]
    return "\n".join((*map(tour.halt_text, halts), "to end the crash: make calm"))


def calm(demo: Demo) -> str:
    """End all faults. Return the text to print. Raises NotReadyError."""
    ended = [exchange.calm() for exchange in demo.exchanges.all]
    if any(ended):
        return "prices return; a halted bot stays halted until its next trading day"
    return "the market is calm already"


class _Decisions:
    """What the gateways fill and refuse from now on. Read it often: a log ends with its pod."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo
        self._bots = [bot["metadata"]["name"] for bot in demo.stored() if has_gateway(bot)]
        self._before = {bot: demo.decisions(bot)[-1:] for bot in self._bots}
        self.new: dict[str, Sequence[Entry]] = {}

    def read(self) -> None:
        for bot in self._bots:
            if found := self._demo.decisions(bot, lines=LINES):
                self.new[bot] = [
                    entry
                    for entry in found
                    if entry.kind in (Kind.FILLS, Kind.REFUSALS)
                    and all(entry.time > last.time for last in self._before[bot])
                ][-SHOWN:]


def _halted(demo: Demo) -> dict[str, str]:
    """Return the phases of the bots for which a halt is stored: Stopping, then Halted."""
    return {
        bot["metadata"]["name"]: str(bot["status"].get("phase"))
        for bot in demo.stored()
        if "haltedSince" in bot["status"].get("risk", {})
    }
