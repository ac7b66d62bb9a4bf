"""The real registry, on a SQLite file and a port of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry_contract import Contract
from tradingbot_registry.app import create_app, prepared_database
from werkzeug.serving import make_server

ASSETS = "/api/v1/assets"


@dataclass(frozen=True)
class RunningRegistry:
    """A registry at `url`, and access to its assets."""

    url: str
    app: Any
    contract: Contract

    def held(self) -> dict[str, Any]:
        """Return all assets by reference, or by name if they have none."""
        found = self.app.test_client().get(f"{ASSETS}?page_size=100").json
        return {asset["externalRef"] or asset["name"]: asset for asset in found}

    def add(self, name: str, **fields: Any) -> Any:
        """Create an asset as a user would."""
        body = {"name": name, "type": "Other", **fields}
        response = self.app.test_client().post(ASSETS, json=body)
        assert response.status_code == 201, response.text
        return response.json

    def put(self, ref: str, **fields: Any) -> None:
        """Create or change the asset of that reference as its owner would."""
        body = {"name": ref.rsplit("/", 1)[1], "type": "Other", **fields}
        response = self.app.test_client().put(f"{ASSETS}/by-ref/{ref}", json=body)
        assert response.status_code < 300, response.text

    def remove(self, asset_id: str) -> None:
        """Delete an asset."""
        assert self.app.test_client().delete(f"{ASSETS}/{asset_id}").status_code == 204


@contextmanager
def running_registry(directory: Path) -> Iterator[RunningRegistry]:
    """Serve a registry while the body runs.

    Fails if the operator sent something, or was answered something, that is not in the document.
    """
    database = prepared_database(f"sqlite:///{directory / 'registry.db'}")
    app = create_app(database, clock=lambda: datetime.now(UTC))
    contract = Contract(app)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield RunningRegistry(f"http://127.0.0.1:{server.server_port}", app, contract)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        if not database.is_closed():
            database.close()
    assert contract.violations == []
