"""The document against the live registry: schemathesis tries it, a generated client uses it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_harness import ON_SQLITE, Server, serving
from tradingbot_dev.processes.waiting import STUCK_SECONDS

HERE = Path(__file__).parent
FEW = "3"
EXAMPLES = os.environ.get("TRADINGBOT_SCHEMATHESIS_EXAMPLES", FEW)
SEED = os.environ.get("TRADINGBOT_SCHEMATHESIS_SEED", "1")
BOUND_SECONDS = 60 * max(5, int(EXAMPLES))


def ran(*command: str, cwd: Path, **environment: str) -> str:
    """Return what the command printed; asserts that it succeeded."""
    # The generator and schemathesis find their tools beside this Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Server]:
    with serving(database_url, tmp_path / "log") as server:
        yield server


def test_schemathesis_finds_nothing(
    server: Server, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All checks; examples, coverage of each constraint, random and stateful requests.

    Coverage takes three quarters of the time, and is mostly of requests that are refused before the
    database is asked. On the second database it is left out of a short run.
    """
    on_sqlite = request.node.callspec.params["database"] == "sqlite_file"
    coverage = "coverage," if on_sqlite or EXAMPLES != FEW else ""
    report = ran(
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", str(HERE / "schemathesis.toml"), "run"),
        *("--phases", f"examples,{coverage}fuzzing,stateful", "--checks", "all"),
        *("--max-examples", EXAMPLES, "--seed", SEED, "--warnings", "off"),
        *("--request-timeout", str(STUCK_SECONDS), "--max-response-time", str(STUCK_SECONDS)),
        f"http://127.0.0.1:{server.port}/api/v1/openapi.json",
        cwd=tmp_path,
        SCHEMATHESIS_HOOKS="schemathesis_hooks",
        PYTHONPATH=str(HERE),
    )
    assert "Tested: 18" in report, report


@ON_SQLITE
def test_a_client_generated_from_the_document_type_checks_and_works(
    server: Server, tmp_path: Path
) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(server.call("GET", "/api/v1/openapi.json")[1]))
    generated = ran(
        *(str(Path(sys.executable).with_name("openapi-python-client")), "generate"),
        *("--path", str(document), "--meta", "none"),
        *("--output-path", str(tmp_path / "asset_registry_client")),
        cwd=tmp_path,
    )
    assert "Warning" not in generated, generated
    use = HERE / "generated_client_use.py"
    # Of the client, what comes from the document; the rest is the generator's own.
    parts = [str(tmp_path / "asset_registry_client" / part) for part in ("models", "api")]
    ran(
        *(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(use), *parts),
        cwd=tmp_path,
        MYPYPATH=str(tmp_path),
    )
    ran(
        *(sys.executable, str(use), f"http://127.0.0.1:{server.port}"),
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
