"""The node of `nautilus/trader.py` as a process: on an exchange, or behind the gateway."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from served import Served

TRADER = Path(__file__).parent / "nautilus" / "trader.py"
SECONDS = 60

needs_nautilus = pytest.mark.skipif(
    importlib.util.find_spec("nautilus_trader") is None,
    reason="nautilus_trader has no wheels for a Python before 3.12, "
    f"and this is {sys.version_info[0]}.{sys.version_info[1]}",
)


def play(
    word: str, market: Served, here: Path, *, key: str, secret: str
) -> dict[str, list[dict[str, Any]]]:
    """Run the node with a script, and return what it saw, by event."""
    events = here / f"{word}.json"
    events.touch()
    limited = ["timeout", "--signal=INT", str(SECONDS)]
    done = subprocess.run(
        [*limited, sys.executable, str(TRADER), word, str(events)],
        env={
            **os.environ,
            "EXCHANGE_KEY": key,
            "EXCHANGE_SECRET": secret,
            "EXCHANGE_URL": market.url,
            "EXCHANGE_WS_URL": market.ws_url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    seen: dict[str, list[dict[str, Any]]] = {}
    for each in map(json.loads, events.read_text().splitlines()):
        seen.setdefault(each["event"], []).append(each)
    if "end" not in seen:
        pytest.fail(f"the node did not end: {done.stdout[-6000:]}{done.stderr[-2000:]}")
    return seen
