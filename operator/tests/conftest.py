"""A real registry for each test that takes one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_server import RunningRegistry, running_registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path) as running:
        yield running
