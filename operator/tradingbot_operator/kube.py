"""The Kubernetes API, as far as the operator uses it: get, list, apply, patch, create.

A few calls over aiohttp with the connection that kopf has logged in with; see docs/decisions.md
for why not a generated client.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
import kopf
from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject

from tradingbot_operator import FIELD_MANAGER

TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)
PAGE = 500
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_RESOURCES = {
    "TradingBot": f"apis/{API_VERSION}/namespaces/{{}}/tradingbots",
    "AssetRegistry": f"apis/{API_VERSION}/namespaces/{{}}/assetregistries",
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "Service": "api/v1/namespaces/{}/services",
    "Secret": "api/v1/namespaces/{}/secrets",
    "Pod": "api/v1/namespaces/{}/pods",
    "Event": "api/v1/namespaces/{}/events",
}


class KubernetesError(Exception):
    """The API server refused a request, or could not be reached (status 0)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def is_conflict(self) -> bool:
        """Whether the object was changed by somebody else in between."""
        return self.status == 409 and self.reason == "Conflict"  # noqa: PLR2004


class KubernetesApi:
    """A session with the API server. `login` gives the connection, and a fresh one after a 401."""

    def __init__(self, login: Callable[[], Awaitable[kopf.ConnectionInfo]]) -> None:
        self._login = login
        self._session: aiohttp.ClientSession | None = None
        self._retired: aiohttp.ClientSession | None = None
        self._logging_in = asyncio.Lock()
        self.on_request: Callable[[str, int], None] = lambda _verb, _code: None

    async def close(self) -> None:
        """End the session."""
        for session in (self._session, self._retired):
            if session is not None:
                await session.close()
        self._session = self._retired = None

    async def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """The object, or None if there is none."""
        try:
            found = await self._request("GET", self._path(kind, namespace, name))
        except KubernetesError as error:
            if error.status == 404:  # noqa: PLR2004
                return None
            raise
        return {"kind": kind, **found}

    async def items(
        self, kind: str, *, namespace: str = "", labels: Mapping[str, str] | None = None
    ) -> AsyncIterator[JsonObject]:
        """All objects of a kind with those labels, in a namespace or (empty) everywhere."""
        path = self._path(kind, namespace)
        query = {"limit": str(PAGE)}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        while True:
            page = await self._request("GET", path, query=query)
            api_version = page["apiVersion"]
            for item in page["items"]:
                yield {"apiVersion": api_version, "kind": kind, **item}
            if not page["metadata"].get("continue"):
                return
            query["continue"] = page["metadata"]["continue"]

    async def apply(self, manifest: JsonObject) -> JsonObject:
        """Server-side apply, taking back fields that somebody else has changed."""
        meta = manifest["metadata"]
        path = self._path(manifest["kind"], meta["namespace"], meta["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        answer = await self._request("PATCH", path, query=query, body=manifest, type_=APPLY_PATCH)
        return dict(answer)

    async def merge(
        self, kind: str, namespace: str, name: str, patch: JsonObject, *, subresource: str = ""
    ) -> JsonObject:
        """Merge-patch an object or its subresource."""
        path = self._path(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        query = {"fieldManager": FIELD_MANAGER}
        answer = await self._request("PATCH", path, query=query, body=patch, type_=MERGE_PATCH)
        return dict(answer)

    async def create(self, manifest: JsonObject) -> JsonObject:
        """Create an object."""
        path = self._path(manifest["kind"], manifest["metadata"]["namespace"])
        query = {"fieldManager": FIELD_MANAGER}
        return dict(await self._request("POST", path, query=query, body=manifest))

    @staticmethod
    def _path(kind: str, namespace: str, name: str = "") -> str:
        path = _RESOURCES[kind]
        path = path.format(namespace) if namespace else path.replace("namespaces/{}/", "")
        return f"{path}/{name}" if name else path

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        type_: str = "application/json",
    ) -> JsonObject:
        session = await self._connected()
        status, answer = await self._send(
            session, method, path, query=query, body=body, type_=type_
        )
        if status == 401:  # noqa: PLR2004
            session = await self._connected(instead_of=session)
            status, answer = await self._send(
                session, method, path, query=query, body=body, type_=type_
            )
        if status >= 400:  # noqa: PLR2004
            raise KubernetesError(
                status,
                str(answer.get("reason", "")),
                f"{method} {path}: {status} {answer.get('message', '')}",
            )
        if "kind" not in answer:
            # Something that is no API server stands in between, or in its place.
            raise KubernetesError(
                status, "NoObject", f"{method} {path}: {status} without an object"
            )
        return answer

    async def _send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        body: JsonObject | None,
        type_: str,
    ) -> tuple[int, JsonObject]:
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {"Content-Type": type_} if data is not None else {}
        try:
            async with session.request(
                method, path, params=query, data=data, headers=headers
            ) as response:
                text = await response.read()
                self.on_request(method, response.status)
                return response.status, _object(text)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.on_request(method, 0)
            raise KubernetesError(
                0, "Unreachable", f"{method} {path}: {type(error).__name__} {error}"
            ) from error

    async def _connected(
        self, *, instead_of: aiohttp.ClientSession | None = None
    ) -> aiohttp.ClientSession:
        async with self._logging_in:
            if self._session is None or self._session is instead_of:
                connection = await self._login()
                # Requests of others are under way in the old session: it ends one login later.
                if self._retired is not None:
                    await self._retired.close()
                self._retired = self._session
                self._session = aiohttp.ClientSession(
                    base_url=f"{connection.server.rstrip('/')}/",
                    headers={**connection.as_http_headers(), "Accept": "application/json"},
                    connector=aiohttp.TCPConnector(ssl=connection.as_ssl_context(), limit=50),
                    timeout=TIMEOUT,
                )
            return self._session


def _object(text: bytes) -> JsonObject:
    """The JSON object of an answer; of another answer its beginning, as a message."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"message": text[:200].decode(errors="replace")}
