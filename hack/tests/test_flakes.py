"""In CI, a test that failed runs a second time, alone; what passes then is reported as flaky."""

import fcntl
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import IO

import pytest
from tradingbot_dev.processes.waiting import wait_until

HACK = Path(__file__).parents[1]


@dataclass(frozen=True)
class Project:
    """A directory with tests, and the list of tests that were flaky in this run of CI."""

    directory: Path
    listed: Path

    def write(self, name: str, text: str) -> None:
        preamble = "import os, pathlib, pytest\nHERE = pathlib.Path(__file__).parent\n"
        (self.directory / name).write_text(preamble + dedent(text))

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flakes", *options],
            cwd=self.directory,
            env={
                # This test may itself be run by a worker.
                **{name: value for name, value in os.environ.items() if "XDIST" not in name},
                "PYTHONPATH": str(HACK),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # they take most of the start
                "PYTEST_PLUGINS": "xdist.plugin",
                "TRADINGBOT_FLAKY_TESTS": str(self.listed),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def flaky(self) -> list[str]:
        return sorted(self.listed.read_text().splitlines()) if self.listed.exists() else []

    def runs(self) -> list[str]:
        """Return what the tests noted, one line for each time that one of them ran."""
        return sorted((self.directory / "runs").read_text().split())


FLAKY = """
    def note(name):
        with (HERE / "runs").open("a") as lines:
            lines.write(f"{name}-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')[:2]}\\n")

    def test_passes():
        note("passes")

    @pytest.mark.parametrize("way", ["a b", "c::d/[e]"])
    def test_races(way):
        note("races")
        seen = HERE / f"seen-{len(way)}"
        if not seen.exists():
            seen.touch()
            raise AssertionError(f"lost the race {way}")
"""
NAMES = ["test_it.py::test_races[a b]", "test_it.py::test_races[c::d/[e]]"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "pytest.ini").write_text("[pytest]\n")
    return Project(directory, tmp_path / "flaky")


def test_a_run_in_which_each_test_passes_is_left_as_it_is(project: Project) -> None:
    project.write("test_it.py", "def test_passes(): pass")
    done = project.run()
    assert done.returncode == 0, done.stdout
    assert "FLAKY" not in done.stdout
    assert project.flaky() == []


def test_a_test_that_passes_alone_is_reported_with_its_first_failure(project: Project) -> None:
    project.write("test_it.py", FLAKY)
    done = project.run("-n", "2", "--dist", "loadfile")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.flaky() == NAMES
    for name in NAMES:
        assert f"FLAKY {name} passed the second time" in done.stdout
    report = done.stdout[done.stdout.index("FLAKY") :]
    assert "AssertionError: lost the race a b" in report
    assert project.runs() == ["passes-gw", "races-al", "races-al", "races-gw", "races-gw"]


def test_a_test_that_fails_alone_fails_the_run(project: Project) -> None:
    project.write("test_it.py", FLAKY + "\n    def test_broken(): assert 1 == 2\n")
    done = project.run()
    assert done.returncode == 1
    assert project.flaky() == NAMES
    assert "FLAKY test_it.py::test_broken" not in done.stdout


def test_more_flaky_tests_than_allowed_fail_the_run(project: Project) -> None:
    project.write("test_it.py", FLAKY)
    project.listed.write_text("earlier::test_one\nearlier::test_two\n")
    assert project.run().returncode == 1
    assert project.runs() == ["passes-al", "races-al", "races-al"], "nothing ran a second time"


def test_a_test_that_is_skipped_the_second_time_fails_the_run(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        def test_once():
            if (HERE / "seen").exists():
                pytest.skip("no second time")
            (HERE / "seen").touch()
            assert False
        """,
    )
    assert project.run().returncode == 1
    assert project.flaky() == []


def test_a_teardown_that_fails_once_is_flaky_too(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        @pytest.fixture
        def part():
            yield
            seen = HERE / "seen"
            if not seen.exists():
                seen.touch()
                raise OSError("still in use")

        def test_it(part): pass
        """,
    )
    assert project.run().returncode == 0
    assert project.flaky() == ["test_it.py::test_it"]


FIXTURES = """
    @pytest.fixture(scope="module")
    def market():
        seen = HERE / "market"
        if not seen.exists():
            seen.touch()
            raise OSError("lost the race of the market")

    @pytest.fixture(scope="module", params=["binance", "coinbase"])
    def exchange(request):
        seen = HERE / request.param
        if not seen.exists():
            seen.touch()
            raise OSError("lost the race of an exchange")

    @pytest.fixture
    def account(market): pass

    @pytest.mark.parametrize("number", range(4))
    def test_market(market, number): pass

    def test_account(account): pass

    def test_exchange(exchange): pass
    def test_exchange_again(exchange): pass
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_tests_that_share_a_failed_fixture_count_as_one(project: Project, workers: str) -> None:
    """Nine tests failed, and three times a fixture did."""
    project.write("test_it.py", FIXTURES)
    done = project.run("-n", workers)
    assert done.returncode == 0, done.stdout
    assert project.flaky() == [
        "test_it.py::test_exchange[binance], and 1 more by the same fixture",
        "test_it.py::test_exchange[coinbase], and 1 more by the same fixture",
        "test_it.py::test_market[0], and 4 more by the same fixture",
    ]
    report = done.stdout[done.stdout.index("\nFLAKY") :]
    assert report.count("OSError: lost the race of the market") == 1
    assert "test_it.py::test_account passed the second time" in report


def test_each_failed_fixture_counts(project: Project) -> None:
    project.write("test_it.py", FIXTURES)
    project.listed.write_text("earlier::test_one\n")
    done = project.run()
    assert done.returncode == 1
    assert "run a second time" not in done.stdout
    assert project.flaky() == ["earlier::test_one"]


CRASH = """
    def test_ends_its_process():
        seen = HERE / "seen"
        if not seen.exists():
            seen.touch()
            os._exit(1)
"""
BROKEN_FILE = """
    seen = HERE / "seen"
    first = not seen.exists()
    seen.touch()
    assert not first
    def test_passes(): pass
"""


@pytest.mark.parametrize(
    ("text", "workers"),
    [(CRASH, "0"), (CRASH, "1"), (BROKEN_FILE, "1")],
    ids=["crash", "crash-of-a-worker", "collection"],
)
def test_a_crash_or_an_error_of_collection_gets_no_second_run(
    project: Project, text: str, workers: str
) -> None:
    project.write("test_it.py", text)
    done = project.run("-n", workers)
    assert done.returncode != 0, done.stdout
    assert "run a second time" not in done.stdout
    assert project.flaky() == []


def test_without_a_list_nothing_runs() -> None:
    environment = {**os.environ, "PYTHONPATH": str(HACK)}
    environment.pop("TRADINGBOT_FLAKY_TESTS", None)
    command = [sys.executable, "-m", "flakes"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "TRADINGBOT_FLAKY_TESTS does not name a file" in done.stderr


def test_a_second_run_waits_until_a_run_beside_it_has_ended_its_first(project: Project) -> None:
    project.write("test_it.py", FLAKY)
    with project.listed.open("w") as beside:
        fcntl.flock(beside, fcntl.LOCK_SH)
        with ThreadPoolExecutor() as threads:
            running = threads.submit(project.run)
            wait_until(lambda: waits_for_lock(beside), what="the second run")
            assert project.flaky() == []
            fcntl.flock(beside, fcntl.LOCK_UN)
            assert running.result().returncode == 0
    assert project.flaky() == NAMES


def waits_for_lock(file: IO[str]) -> bool:
    inode = f":{os.fstat(file.fileno()).st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and inode in line for line in lines)
