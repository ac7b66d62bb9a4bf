"""Gateways for a test, or for a module whose tests leave no position."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_process import Gateway, Gateways, gateways


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Gateways]:
    with gateways(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateways(tmp_path_factory.mktemp("gateway")) as made:
        yield made(maxOrdersPerMinute=1000).ready()


@pytest.fixture
def gateway(running: Gateway) -> Iterator[Gateway]:
    yield running
    running.exchange.control("DELETE", "/faults")
    running.flatten()
