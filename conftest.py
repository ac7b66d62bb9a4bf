"""What the tests of several parts share: a real control plane, and a user without rights."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from coverage import Coverage
from tradingbot_dev.control_plane.plane import ControlPlane, temporary_control_plane


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files that start a control plane evenly among the others.

    Their tests mostly wait. Workers that take the files in this order have tests beside them that
    compute, from the beginning to the end.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waiting = [path for path in files if _waits(files[path])]
    place = {path: (rank + 0.5) / len(waiting) for rank, path in enumerate(waiting)}
    others = [path for path in files if path not in place]
    place |= {path: (rank + 0.5) / len(others) for rank, path in enumerate(others)}
    items.sort(key=lambda item: place[item.path])


def pytest_sessionfinish() -> None:
    """Write the measured coverage: xdist kills a worker that takes long to exit.

    The measurement stops before. Otherwise the worker would write again when it exits, and to be
    killed then would destroy the file: coverage writes without a journal.
    """
    measured = Coverage.current()
    if measured is not None:
        measured.stop()
        measured.save()


SYSTEMS = frozenset({"control_plane", "system", "checkout", "cluster", "plane"})
"""Fixtures that start a control plane."""


def _waits(items: list[pytest.Item]) -> bool:
    return any(SYSTEMS & set(getattr(item, "fixturenames", ())) for item in items)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """Start a control plane without the product; each test has a namespace of its own in it."""
    with temporary_control_plane() as plane:
        yield plane


NOBODY = 65534


@pytest.fixture
def unprivileged_directory() -> Iterator[Path]:
    """Return a directory of the user `nobody`, and run as it: permissions don't bind root."""
    user = os.geteuid()
    with TemporaryDirectory(dir="/tmp") as directory:
        if user == 0:
            os.chown(directory, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(directory)
        finally:
            os.seteuid(user)
