"""On a real node: how long entries pass after a pause, and after a limit was lowered.

`TRADINGBOT_STOPS=50` does each as often, and prints the percentiles.
"""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pytest
from installation import Installation
from live_exchange import live_exchange, reached_by
from namespaces import restricted_namespace
from person import Object, Person, eventually
from real_bots import BOT_IMAGE

NAME = "guarded"
ROUNDS = int(os.environ.get("TRADINGBOT_STOPS", "3"))
STOPPED_WITHIN = 3000
"""Milliseconds from the patch to the last entry that can pass."""
WATCHED = 4.0
"""Seconds for which entries are counted after a patch."""
SCRIPT = (Path(__file__).parent / "entering_bot.py").read_text(encoding="utf-8")
ENOUGH, TOO_LITTLE = "1000", "5"
PASSED = "-"


def bot() -> Object:
    return {
        "apiVersion": "trading.io/v1",
        "kind": "TradingBot",
        "metadata": {"name": NAME},
        "spec": {
            "strategy": {"type": "Custom", "image": BOT_IMAGE},
            "exchange": reached_by(NAME),
            "mode": "Live",
            "riskManagement": {
                "maxPositionSize": ENOUGH,
                "dailyLossLimit": "500",
                "priceCollarPercentage": "50",
                "maxOrdersPerMinute": 100000,
            },
            "pod": {
                "command": ["python3", "/script/entering_bot.py"],
                "files": [{"mountPath": "/script", "configMap": {"name": "script"}}],
                "terminationGracePeriodSeconds": 5,
            },
        },
    }


@dataclass(frozen=True)
class Entering:
    """The bot that enters all the time, and what it has printed."""

    person: Person

    def pod(self) -> str:
        """Return the name of the pod that enters."""

        def look() -> str:
            found = [
                pod["metadata"]["name"]
                for pod in self.person.items("pods", bot=NAME)
                if "deletionTimestamp" not in pod["metadata"]
            ]
            return found[0] if found else ""

        return eventually(look)

    def entries(self, pod: str, *, seconds: int = 60) -> list[tuple[int, str]]:
        """Return when entries were sent, in milliseconds, and what has refused them."""
        done = self.person.kubectl("logs", pod, "-c", "bot", f"--since={seconds}s")
        lines = (line.split() for line in done.stdout.splitlines())
        return [(int(line[0]), line[1]) for line in lines if len(line) == 2]

    def await_entries(self) -> None:
        """Wait until entries pass."""

        def look() -> bool:
            found = self.entries(self.pod(), seconds=2)
            return bool(found) and found[-1][1] == PASSED

        eventually(look)

    def change(self, spec: Object) -> int:
        """Patch the spec. Return when that was sent, in milliseconds by the clock of the node."""
        begun = time.time_ns() // 1_000_000
        self.person.patched("tradingbot", NAME, {"spec": spec})
        return begun


def last_entry(entries: list[tuple[int, str]], begun: int) -> int:
    """Return the milliseconds from `begun` to the last entry that has passed; some came before."""
    passed = [at for at, control in entries if control == PASSED]
    assert any(at < begun for at in passed)
    assert any(at > begun + 1000 for at, _ in entries) or max(passed) < begun + STOPPED_WITHIN
    return max(0, max(passed) - begun)


def said(what: str, times: list[int]) -> None:
    """Check the times, and print them."""
    ordered = sorted(times)
    ranks = {each: ordered[math.ceil(each / 100 * len(ordered)) - 1] for each in (50, 90, 99)}
    print(f"\n{what}: {len(times)} times, milliseconds by percentile: {ranks}; {ordered}")
    assert ranks[99] < STOPPED_WITHIN


@pytest.fixture(scope="module")
def entering(product: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entering]:
    here = tmp_path_factory.mktemp("exchange")
    with (
        restricted_namespace(product.node, f"t{crc32(b'entries')}") as person,
        live_exchange(person, product.node, here, NAME),
    ):
        script = {"entering_bot.py": SCRIPT}
        meta = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "script"}}
        person.applied({**meta, "data": script}, bot())
        yield Entering(person)


def test_a_lowered_limit_stops_entries_within_three_seconds(entering: Entering) -> None:
    times = []
    for _ in range(ROUNDS):
        entering.await_entries()
        begun = entering.change({"riskManagement": {"maxPositionSize": TOO_LITTLE}})
        time.sleep(WATCHED)  # entries that pass in this time are what is looked for
        times.append(last_entry(entering.entries(entering.pod()), begun))
        entering.change({"riskManagement": {"maxPositionSize": ENOUGH}})
    said("lowered limit", times)


def test_a_pause_stops_entries_within_three_seconds(entering: Entering) -> None:
    times = []
    for _ in range(ROUNDS):
        entering.await_entries()
        pod = entering.pod()
        begun = entering.change({"paused": True})
        # The log ends with the pod, which has five seconds to end.
        time.sleep(WATCHED)
        times.append(last_entry(entering.entries(pod), begun))
        entering.change({"paused": False})
    said("pause", times)
