"""Parts that the registry's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from page_harness import running_browser
from playwright.sync_api import Browser
from registry_harness import Api, TickingClock
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.storage.database import SqliteFile


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteFile]:
    database = prepared_database(f"sqlite:///{tmp_path / 'registry.db'}")
    database.hold()
    yield database
    database.release()
    if not database.is_closed():
        database.close()


@pytest.fixture
def api(database: SqliteFile) -> Api:
    return Api(create_app(database, clock=TickingClock()).test_client())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one file: while it runs, no other event loop can."""
    with running_browser() as browser:
        yield browser
