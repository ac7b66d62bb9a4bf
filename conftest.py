"""What the tests of several parts share: a real control plane, and a user without rights."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tradingbot_dev.controlplane import ControlPlane, temporary_control_plane


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A control plane with nothing of the product installed; tests share it, each in its corner."""
    with temporary_control_plane() as plane:
        yield plane


NOBODY = 65534


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """A folder of one's own, as a user to whom permissions apply, which they don't to root."""
    user = os.geteuid()
    with TemporaryDirectory(dir="/tmp") as folder:
        if user == 0:
            os.chown(folder, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(user)
