"""Run pytest with the arguments given, and run the tests that failed a second time, alone.

One race among thousands of tests on a busy machine would otherwise fail a whole run. A test that
passes the second time is flaky: its first failure is shown, and its name is added to the file that
TRADINGBOT_FLAKY_TESTS names. The run passes with at most three lines in this file. Tests that
failed because a fixture failed that they share count as one test. A test that fails twice fails the
run, and so do an error of collection and a crashed worker, at once.
"""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent

from flakes import LIST_VARIABLE
from flakes.record import FILE_VARIABLE, Failure, Outcomes

MOST_FLAKY = 3
FAILED = 1
"""The exit code of pytest when tests failed."""


def main(arguments: Sequence[str]) -> int:
    listed = os.environ.get(LIST_VARIABLE)
    if not listed:
        print(f"error: {LIST_VARIABLE} does not name a file for flaky tests", file=sys.stderr)
        return 2
    with locked(Path(listed), fcntl.LOCK_SH):
        code, first = run_pytest(arguments)
    if code != FAILED or first is None:
        return code
    # Another run beside this one ends its first pass before.
    with locked(Path(listed), fcntl.LOCK_EX):
        return run_again(first.failures, Path(listed))


def run_again(failures: Sequence[Failure], listed: Path) -> int:
    """Run the failed tests a second time, and report and list the flaky ones."""
    if not may_run_again(failures, flaky_before=len(listed.read_text().splitlines())):
        return FAILED
    names = [failure.name for failure in failures]
    print(f"\n== these tests failed, and run a second time, alone: {', '.join(names)}", flush=True)
    # Without the arguments: no worker runs another test beside these.
    code, second = run_pytest(names)
    passed = second.passed if second is not None else frozenset()
    flaky = [failure for failure in failures if failure.name in passed]
    with listed.open("a") as lines:
        lines.writelines(f"{line}\n" for line in listing(flaky))
    print(report(flaky), flush=True)
    return code if len(flaky) == len(names) else FAILED


def may_run_again(failures: Sequence[Failure], *, flaky_before: int) -> bool:
    """Return whether the run passes if each failed test passes the second time."""
    only_tests = all(failure.in_test for failure in failures)
    return bool(failures) and only_tests and flaky_before + len(by_cause(failures)) <= MOST_FLAKY


def by_cause(failures: Iterable[Failure]) -> list[list[Failure]]:
    """Return the failures, those that one fixture caused together."""
    found: dict[str, list[Failure]] = {}
    for failure in failures:
        found.setdefault(failure.cause, []).append(failure)
    return list(found.values())


def listing(flaky: Iterable[Failure]) -> list[str]:
    """Return one line for each cause."""
    return [_line(*failures) for failures in by_cause(flaky)]


def _line(first: Failure, *others: Failure) -> str:
    return f"{first.name}, and {len(others)} more by the same fixture" if others else first.name


@contextmanager
def locked(path: Path, kind: int) -> Iterator[None]:
    """Hold a shared or exclusive lock on a file, which is created if it is missing."""
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield


def report(flaky: Sequence[Failure]) -> str:
    """Return what the log says about flaky tests."""
    lines = []
    for failures in by_cause(flaky):
        names = ", ".join(failure.name for failure in failures)
        lines.append(f"\nFLAKY {names} passed the second time. At first:")
        lines.append(indent(failures[0].text, "    "))
    if flaky:
        lines.append("\nFLAKY tests hide defects, of the test or of the product. Fix them:")
        lines += [f"FLAKY {line}" for line in listing(flaky)]
    return "\n".join(lines)


def run_pytest(arguments: Sequence[str]) -> tuple[int, Outcomes | None]:
    """Return the exit code of pytest, and what it reported unless it was killed."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "outcomes.json"
        command = [sys.executable, "-m", "pytest", "-p", "flakes.record", *arguments]
        environment = {**os.environ, FILE_VARIABLE: str(file)}
        with subprocess.Popen(command, env=environment) as process:
            signal.signal(signal.SIGTERM, lambda _number, _frame: process.terminate())
            code = process.wait()
        outcomes = Outcomes.read(file) if file.exists() else None
        return (code if code >= 0 else 128 - code), outcomes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
