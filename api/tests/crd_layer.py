"""What the CRDs alone make of an object: the API server asked directly, with nothing stored."""

import http.client
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tradingbot_api import API_VERSION
from tradingbot_api.crds import crds
from tradingbot_dev.control_plane.plane import ControlPlane
from tradingbot_dev.processes.waiting import STUCK_SECONDS, wait_until

PLURALS = {crd["spec"]["names"]["kind"]: crd["spec"]["names"]["plural"] for crd in crds()}
PATIENCE = STUCK_SECONDS

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True)
class Answer:
    """What the API server said to one request."""

    status: int
    body: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def admitted(self) -> bool:
        return self.status in {200, 201}

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))


class CrdLayer:
    """One kept connection to the API server, as the administrator."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._plane = control_plane
        client = control_plane.client
        context = ssl.create_default_context(cafile=str(client.ca))
        context.load_cert_chain(client.certificate, client.key)
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", client.port, timeout=PATIENCE, context=context
        )

    def install(self, definitions: Sequence[dict[str, Any]] = ()) -> None:
        """Apply the CRDs, and wait until objects of both kinds can be made."""
        text = "\n---\n".join(json.dumps(crd) for crd in definitions or crds())
        self._plane.kubectl(
            "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text, check=True
        )
        for crd in crds():
            wait_until(
                lambda name=crd["metadata"]["name"]: self._established(name),
                what=f"the CRD {crd['metadata']['name']}",
                seconds=PATIENCE,
                table=self._plane.table,
                needs=(),
            )

    def crd(self, name: str) -> dict[str, Any]:
        """A CRD as the API server has it."""
        return self._ask("GET", f"{_CRDS}/{name}").body

    def create(self, obj: dict[str, Any], *, dry_run: bool = True) -> Answer:
        """Create `obj`: unknown fields are refused, as kubectl asks for."""
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        return self._ask("POST", _path(obj["kind"]) + query, obj)

    def replace(self, obj: dict[str, Any], *, dry_run: bool = True) -> Answer:
        """Update the stored object of that name to `obj`."""
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        return self._ask("PUT", f"{_path(obj['kind'])}/{obj['metadata']['name']}{query}", obj)

    def stored(self, kind: str, name: str) -> dict[str, Any]:
        """A stored object."""
        return self._ask("GET", f"{_path(kind)}/{name}").body

    def report(self, obj: dict[str, Any], status: dict[str, Any]) -> Answer:
        """Write the status of a stored object, as the operator does."""
        path = f"{_path(obj['kind'])}/{obj['metadata']['name']}/status"
        return self._ask("PUT", path, {**obj, "status": status})

    def delete(self, kind: str, name: str) -> Answer:
        """Delete a stored object."""
        return self._ask("DELETE", f"{_path(kind)}/{name}")

    def openapi(self, group: str) -> dict[str, Any]:
        """The OpenAPI document of a group and version: `api/v1`, `apis/apps/v1`."""
        return self._ask("GET", f"/openapi/v3/{group}").body

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _established(self, name: str) -> bool:
        conditions = self.crd(name).get("status", {}).get("conditions") or []
        kind = self.crd(name)["spec"]["names"]["kind"]
        up = any(
            condition["type"] == "Established" and condition["status"] == "True"
            for condition in conditions
        )
        return up and self._ask("GET", _path(kind)).status == 200

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        data = json.dumps(body).encode() if body is not None else None
        self._connection.request(method, path, data, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        warnings = tuple(response.headers.get_all("Warning") or ())
        return Answer(response.status, json.loads(response.read()), warnings)


def _path(kind: str) -> str:
    return f"/apis/{API_VERSION}/namespaces/default/{PLURALS[kind]}"
