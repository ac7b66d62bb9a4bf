"""A pytest plugin that writes which tests passed and which failed.

The process that collects the reports writes the file: with pytest-xdist, the controller.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

FILE_VARIABLE = "TRADINGBOT_TEST_OUTCOMES"
"""The environment variable that names the file."""
_STAGES = frozenset({"setup", "call", "teardown"})


@dataclass(frozen=True)
class Failure:
    """One failed test, or what failed in place of tests."""

    name: str
    """The test's node ID, or the path that pytest could not collect."""
    text: str
    """What pytest says of the failure."""
    in_test: bool
    """False if pytest could not collect the test, or the process that ran it crashed."""


@dataclass(frozen=True)
class Outcomes:
    """What a run of pytest reported."""

    passed: frozenset[str]
    failures: tuple[Failure, ...]
    """The first failure of each test, in the order in which they happened."""

    @classmethod
    def read(cls, path: Path) -> "Outcomes":
        """Read what the plugin wrote; raises OSError if pytest did not come to its end."""
        stored = json.loads(path.read_text())
        failures = tuple(Failure(**failure) for failure in stored["failures"])
        return cls(frozenset(stored["passed"]), failures)


class Recorder:
    """Collects reports, and writes them at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passed: set[str] = set()
        self._failures: dict[str, Failure] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._fail(report.nodeid, report.longreprtext, in_test=False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            # pytest-xdist reports a crash of a worker as a failure in an unknown stage.
            self._fail(report.nodeid, report.longreprtext, in_test=report.when in _STAGES)
        elif report.passed and report.when == "call":
            self._passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        failures = [asdict(failure) for failure in self._failures.values()]
        passed = sorted(self._passed - self._failures.keys())
        self._path.write_text(json.dumps({"passed": passed, "failures": failures}))

    def _fail(self, name: str, text: str, *, in_test: bool) -> None:
        first = self._failures.get(name)
        if first is None or (first.in_test and not in_test):
            self._failures[name] = Failure(name, text, in_test)


def pytest_configure(config: pytest.Config) -> None:
    """Record, except in a worker of pytest-xdist."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(os.environ[FILE_VARIABLE])))
