"""Servers for the tests of this directory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_harness import Harness
from webhook_process import Authority, Server, Starter

# The objects that the rules are tested with.
sys.path.append(str(Path(__file__).parents[2] / "api" / "tests"))


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def start(tmp_path: Path, authority: Authority) -> Iterator[Starter]:
    certs = tmp_path / "certs"
    authority.install(certs, authority.pair())
    starter = Starter(folder=tmp_path, authority=authority, certs=certs)
    yield starter
    starter.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests that do not change it."""
    folder, signer = tmp_path_factory.mktemp("server"), Authority()
    signer.install(folder / "certs", signer.pair())
    starter = Starter(folder=folder, authority=signer, certs=folder / "certs")
    yield starter()
    starter.close()


@pytest.fixture
def harness() -> Harness:
    return Harness()
