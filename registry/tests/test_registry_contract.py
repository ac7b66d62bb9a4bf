"""The document against the live registry: schemathesis tries it, a generated client uses it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_harness import Server, serving

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("TRADINGBOT_SCHEMATHESIS_EXAMPLES", "3")
SEED = os.environ.get("TRADINGBOT_SCHEMATHESIS_SEED", "1")
BOUND_SECONDS = 300


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "r.db", tmp_path / "log") as server:
        yield server


def test_schemathesis_finds_nothing(server: Server, tmp_path: Path) -> None:
    """All checks; examples, coverage of each constraint, random and stateful requests."""
    settings = {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)}
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(HERE / "schemathesis.toml"), "run"),
            *("--phases", "examples,coverage,fuzzing,stateful", "--checks", "all"),
            *("--max-examples", EXAMPLES, "--seed", SEED, "--warnings", "off"),
            f"http://127.0.0.1:{server.port}/api/v1/openapi.json",
        ],
        cwd=tmp_path,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Tested: 16" in run.stdout, run.stdout
