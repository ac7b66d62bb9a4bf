"""Just enough of a Kubernetes client to see whether a control plane is ready.

The real client library takes half a second to import, which is most of a second `make up`.
"""

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class ApiClient:
    """Requests to one API server, with a client certificate, a connection each."""

    port: int
    ca: Path
    certificate: Path
    key: Path
    host: str = "127.0.0.1"

    def get(self, path: str) -> Answer | None:
        """The answer, or None as long as nobody answers."""
        return self._request("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Answer | None:
        return self._request("POST", path, json.dumps(body).encode())

    def _request(self, method: str, path: str, body: bytes | None) -> Answer | None:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(self.certificate, self.key)
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=5, context=context)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def http_answer(port: int, path: str) -> Answer | None:
    """The answer of a plain HTTP server on loopback, or None as long as nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
