"""A pytest plugin that writes which tests passed and which failed.

The process that collects the reports writes the file: with pytest-xdist, the controller.
"""

import json
import os
from collections.abc import Generator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import pytest

FILE_VARIABLE = "TRADINGBOT_TEST_OUTCOMES"
"""The environment variable that names the file."""
_STAGES = frozenset({"setup", "call", "teardown"})
_FIXTURE = "failed_fixture"
"""The attribute of an exception, and the property of a report, that name the fixture."""
_numbers = count(1)


@dataclass(frozen=True)
class Failure:
    """One failed test, or what failed in place of tests."""

    name: str
    """The test's node ID, or the path that pytest could not collect."""
    text: str
    """What pytest says of the failure."""
    in_test: bool
    """False if pytest could not collect the test, or the process that ran it crashed."""
    fixture: str = ""
    """The fixture that failed, if several tests share it. All of them have the same name here, and
    each failed start of a fixture another one."""

    @property
    def cause(self) -> str:
        """The same for all tests that failed because one fixture did."""
        return self.fixture or self.name


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
            fixture = str(dict(report.user_properties).get(_FIXTURE, ""))
            in_test = report.when in _STAGES
            self._fail(report.nodeid, report.longreprtext, in_test=in_test, fixture=fixture)
        elif report.passed and report.when == "call":
            self._passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        failures = [asdict(failure) for failure in self._failures.values()]
        passed = sorted(self._passed - self._failures.keys())
        self._path.write_text(json.dumps({"passed": passed, "failures": failures}))

    def _fail(self, name: str, text: str, *, in_test: bool, fixture: str = "") -> None:
        first = self._failures.get(name)
        if first is None or (first.in_test and not in_test):
            self._failures[name] = Failure(name, text, in_test, fixture)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
    """Mark the exception of a fixture that tests share.

    pytest raises the same exception again in each test that uses the fixture, directly or not.
    """
    try:
        return (yield)
    except Exception as error:
        if fixturedef.scope != "function":
            worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
            name = f"{fixturedef.argname}, {worker} {next(_numbers)}"
            error.__dict__.setdefault(_FIXTURE, name)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the fixture of a marked exception to the report, which pytest-xdist sends on."""
    report = yield
    if call.excinfo is not None:
        fixture = getattr(call.excinfo.value, _FIXTURE, None)
        report.user_properties += [] if fixture is None else [(_FIXTURE, fixture)]
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Record, except in a worker of pytest-xdist."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(os.environ[FILE_VARIABLE])))
