"""The Kubernetes API, as far as the operator uses it: get, list, apply, patch, create, replace.

A few calls over aiohttp with the connection that kopf has logged in with; see docs/decisions.md
for why not a generated client.
"""

import asyncio
from asyncio import sleep
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import NamedTuple

import aiohttp
import kopf
from pydantic_core import from_json, to_json
from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject

from tradingbot_operator import FIELD_MANAGER
from tradingbot_operator.fencing import fenced

TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)
PAGE = 200
"""Objects in an answer to a list: 500 bots as they come, parsed, are 30 MB."""
CONNECTIONS = 50
TRIES = 4
NO_VERSION = "1"
"""A resource version that no object has: the API server compares it where there is an object, and
passes over it where there is none."""
LONGEST_PAUSE = 5.0
"""Of what an API server may ask for that has too much to do (429 with Retry-After), at a time."""

JSON = "application/json"
METADATA = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
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
    "Lease": "apis/coordination.k8s.io/v1/namespaces/{}/leases",
}

_LEASES = "/apis/coordination.k8s.io/"


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


class _Call(NamedTuple):
    """A request, as it is sent and sent again."""

    method: str
    path: str
    query: Mapping[str, str] | None
    headers: Mapping[str, str]
    data: bytes | None


class KubernetesApi:
    """A session with the API server. `login` gives the connection, and a fresh one after a 401."""

    def __init__(self, login: Callable[[], Awaitable[kopf.ConnectionInfo]]) -> None:
        self._login = login
        self._session: aiohttp.ClientSession | None = None
        self._retired: aiohttp.ClientSession | None = None
        self._logging_in = asyncio.Lock()
        self.on_request: Callable[[str, int], None] = lambda _verb, _code: None
        self.before_write: Callable[[], None] = lambda: None
        """Called right before a write is sent, with a connection already at hand, and again if it
        is sent again; what it raises keeps the write from being sent. Not for writes of Leases,
        which is how one comes to be allowed to write."""
        self.write_seconds: float | None = None
        """How long a write may take, here and in the API server; None: as long as a read."""

    async def close(self) -> None:
        """End the session."""
        for session in (self._session, self._retired):
            if session is not None:
                await session.close()
        self._session = self._retired = None

    async def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """The object, or None if there is none."""
        found = await self._found(kind, namespace, name, accept=JSON)
        return None if found is None else {"kind": kind, **found}

    async def items(
        self, kind: str, *, namespace: str = "", labels: Mapping[str, str] | None = None
    ) -> AsyncIterator[JsonObject]:
        """All objects of a kind with those labels, in a namespace or (empty) everywhere."""
        async for page in self._pages(kind, namespace, labels or {}, accept=JSON):
            api_version = page["apiVersion"]
            for item in page["items"] or ():
                yield {"apiVersion": api_version, "kind": kind, **item}

    async def version_of(self, kind: str, namespace: str, name: str) -> str | None:
        """The object's resource version, asked for without the object; None if there is none."""
        found = await self._found(kind, namespace, name, accept=METADATA)
        return None if found is None else str(found["metadata"]["resourceVersion"])

    async def _found(
        self, kind: str, namespace: str, name: str, *, accept: str
    ) -> JsonObject | None:
        try:
            return await self._request("GET", self._path(kind, namespace, name), accept=accept)
        except KubernetesError as error:
            if error.status == 404:  # noqa: PLR2004
                return None
            raise

    async def versions(
        self, kind: str, *, namespace: str = "", labels: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[tuple[str, str], int]]:
        """Namespace and name, and resource version, of all objects that `items` would give."""
        async for page in self._pages(kind, namespace, labels or {}, accept=METADATA_LIST):
            for item in page["items"] or ():  # null where metadata alone is asked for
                meta = item["metadata"]
                yield (meta["namespace"], meta["name"]), int(meta["resourceVersion"])

    async def _pages(
        self, kind: str, namespace: str, labels: Mapping[str, str], *, accept: str
    ) -> AsyncIterator[JsonObject]:
        query = {"limit": str(PAGE)}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        while True:
            page = await self._request(
                "GET", self._path(kind, namespace), query=query, accept=accept
            )
            yield page
            if not page["metadata"].get("continue"):
                return
            query["continue"] = page["metadata"]["continue"]

    async def apply(self, manifest: JsonObject, *, new: bool = False) -> JsonObject:
        """Server-side apply, taking back fields that somebody else has changed.

        One that is said to be new is a conflict if there already is an object of its name.
        """
        meta = manifest["metadata"]
        path = self._path(manifest["kind"], meta["namespace"], meta["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        if new:
            manifest = {**manifest, "metadata": {**meta, "resourceVersion": NO_VERSION}}
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

    async def replace(self, manifest: JsonObject) -> JsonObject:
        """Replace an object whole; a conflict unless it still has the manifest's version."""
        meta = manifest["metadata"]
        path = self._path(manifest["kind"], meta["namespace"], meta["name"])
        query = {"fieldManager": FIELD_MANAGER}
        return dict(await self._request("PUT", path, query=query, body=manifest))

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
        type_: str = JSON,
        accept: str = JSON,
    ) -> JsonObject:
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = type_
        data = None if body is None else to_json(body)
        call = _Call(method, path, query, headers, data)
        session = await self._connected()
        status, answer = await self._patiently(session, call)
        if status == 401:  # noqa: PLR2004
            session = await self._connected(instead_of=session)
            status, answer = await self._patiently(session, call)
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

    async def _patiently(
        self, session: aiohttp.ClientSession, call: "_Call"
    ) -> tuple[int, JsonObject]:
        """Send, and again after the pause that an API server with too much to do has asked for.

        Whoever calls waits: going on with the next object would only ask it for more. A Lease has
        no time for that.
        """
        for _ in range(TRIES - 1):
            status, answer, pause = await self._send(session, call)
            if status != 429 or pause is None or "/leases" in call.path:  # noqa: PLR2004
                return status, answer
            await sleep(min(pause, LONGEST_PAUSE))
        status, answer, _ = await self._send(session, call)
        return status, answer

    async def _send(
        self, session: aiohttp.ClientSession, call: "_Call"
    ) -> tuple[int, JsonObject, float | None]:
        """Status, answer, and the seconds after which the server wants to be asked again."""
        query, timeout = call.query, TIMEOUT
        if call.method != "GET" and self.write_seconds is not None:
            query = {**(query or {}), "timeout": f"{self.write_seconds:g}s"}
            timeout = aiohttp.ClientTimeout(total=self.write_seconds)
        try:
            async with session.request(
                call.method,
                call.path,
                params=query,
                data=call.data,
                headers=call.headers,
                timeout=timeout,
            ) as response:
                text = await response.read()
                self.on_request(call.method, response.status)
                return response.status, _object(text), _seconds(response.headers)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.on_request(call.method, 0)
            raise KubernetesError(
                0, "Unreachable", f"{call.method} {call.path}: {type(error).__name__} {error}"
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
                    headers=connection.as_http_headers(),
                    connector=aiohttp.TCPConnector(
                        ssl=connection.as_ssl_context(), limit=CONNECTIONS
                    ),
                    timeout=TIMEOUT,
                    request_class=fenced(self._before_sending),
                )
            return self._session

    def _before_sending(self, request: aiohttp.ClientRequest) -> None:
        if request.method != "GET" and _LEASES not in request.url.path:
            self.before_write()


def _object(text: bytes) -> JsonObject:
    """The JSON object of an answer; of another answer its beginning, as a message."""
    try:
        answer = from_json(text, cache_strings="keys")
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"message": text[:200].decode(errors="replace")}


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds; API servers give no dates."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
