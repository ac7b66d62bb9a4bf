"""What the tests of several parts share: one real control plane for the whole run."""

from collections.abc import Iterator

import pytest
from tradingbot_dev.controlplane import ControlPlane, temporary_control_plane


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A control plane with nothing of the product installed; tests share it, each in its corner."""
    with temporary_control_plane() as plane:
        yield plane
