"""A Kubernetes client that is just enough to check whether a control plane is ready.

The real client library takes half a second to import, most of the time of a second `make up`.
"""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class ApiClient:
    """Requests to one API server with a client certificate, each on its own connection."""

    port: int
    ca: Path
    certificate: Path
    key: Path
    host: str = "127.0.0.1"

    def get(self, path: str) -> Answer | None:
        """Return the answer, or None if there is none."""
        return self._request("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Answer | None:
        return self._request("POST", path, json.dumps(body).encode())

    def _request(self, method: str, path: str, body: bytes | None) -> Answer | None:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(self.certificate, self.key)
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=5, context=context)
        return _answer(connection, method, path, body, {"Content-Type": "application/json"})


def http_answer(
    port: int, path: str, *, method: str = "GET", body: dict[str, Any] | None = None
) -> Answer | None:
    """Return the answer of a plain HTTP server on loopback, or None if there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    if body is None:
        return _answer(connection, method, path)
    headers = {"Content-Type": "application/json"}
    return _answer(connection, method, path, json.dumps(body).encode(), headers)


def _answer(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Answer | None:
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
