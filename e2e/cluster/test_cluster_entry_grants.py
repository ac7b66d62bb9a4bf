"""On a real node: how long entries pass after a pause, and after a limit was lowered.

`TRADINGBOT_STOPS=50` does each as often, and prints the percentiles.
"""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import pytest
from installation import Installation
from namespaces import restricted_namespace
from person import Object, Person, eventually
from pod_demo import DEMO, rendered
from real_bots import BOT_IMAGE
from tradingbot_certs.authority import (
    Names,
    certificate_pem,
    issue_authority,
    issue_serving,
    key_pem,
)

NAME, ACCOUNT = "guarded", "guarded"
ROUNDS = int(os.environ.get("TRADINGBOT_STOPS", "3"))
STOPPED_WITHIN = 3000
"""Milliseconds from the patch to the last entry that can pass."""
WATCHED = 4.0
"""Seconds for which entries are counted after a patch."""
SCRIPT = (Path(__file__).parent / "entering_bot.py").read_text(encoding="utf-8")
ENOUGH, TOO_LITTLE = "1000", "5"
PASSED = "-"


def surroundings() -> tuple[Object, ...]:
    """A simulated Binance over TLS, the authority of its certificate, and the bot's program."""
    now = datetime.now(UTC)
    authority = issue_authority(now)
    serving = issue_serving(authority=authority, names=Names(("binance",)), now=now)
    pair = {
        "tls.crt": certificate_pem(serving.certificate).decode(),
        "tls.key": key_pem(serving.key).decode(),
    }
    trusted = {"ca.crt": certificate_pem(authority.certificate).decode()}
    chosen = [found for found in rendered() if found["metadata"]["name"] == "binance"]
    for found in chosen:
        if found["kind"] == "Deployment":
            pod = found["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            kept = [each for each in container["args"] if not each.startswith("--account=")]
            tls = ("--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key")
            container["args"] = [*kept, f"--account={ACCOUNT}", *tls]
            container["volumeMounts"].append({"name": "tls", "mountPath": "/tls"})
            pod["volumes"].append({"name": "tls", "secret": {"secretName": "binance-tls"}})
    metadata = {"name": "binance-tls"}
    return (
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": pair},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "binance-ca"},
            "data": trusted,
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "script"},
            "data": {"entering_bot.py": SCRIPT},
        },
        *chosen,
    )


def bot() -> Object:
    return {
        "apiVersion": "trading.io/v1",
        "kind": "TradingBot",
        "metadata": {"name": NAME},
        "spec": {
            "strategy": {"type": "Custom", "image": BOT_IMAGE},
            "exchange": {
                "name": "Binance",
                "apiKeySecret": f"{ACCOUNT}-keys",
                "baseURL": "https://binance:8070",
                "caBundle": {"name": "binance-ca"},
            },
            "mode": "Live",
            "riskManagement": {
                "enforcement": "Gateway",
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
def entering(product: Installation) -> Iterator[Entering]:
    with restricted_namespace(product.node, f"t{crc32(b'entries')}") as person:
        person.applied(*surroundings())
        waited = person.kubectl("rollout", "status", "deploy/binance", "--timeout=3m")
        assert waited.returncode == 0, waited.stderr
        script = (DEMO / "secrets.py").read_text(encoding="utf-8")
        made = person.kubectl("exec", "-i", "deploy/binance", "--", "python", "-", stdin=script)
        assert made.returncode == 0, made.stderr
        done = person.kubectl("apply", "--server-side", "-f", "-", stdin=made.stdout)
        assert done.returncode == 0, done.stderr
        person.applied(bot())
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
