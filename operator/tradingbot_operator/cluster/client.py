"""A client for the parts of the Kubernetes API that the operator uses, over aiohttp.

See docs/decisions.md for why it is not a generated client.
"""

import asyncio
from asyncio import sleep
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import NamedTuple

import aiohttp
import kopf
from pydantic_core import from_json, to_json
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator import FIELD_MANAGER
from tradingbot_operator.cluster import answers
from tradingbot_operator.cluster.answers import Answer, beginning_of, refusal_of, retry_after
from tradingbot_operator.cluster.reading.json_spans import MalformedError
from tradingbot_operator.cluster.reading.object_reader import Page, read_object
from tradingbot_operator.cluster.resource_paths import api_version_of, path_of, selector_of
from tradingbot_operator.fencing import fenced

TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)
PAGE = 100
"""Objects in a page of a list: a hundred bots take 6 MB, and are parsed in one step."""
LISTINGS = 3
"""How often a list is started that expires before its last page."""
CONNECTIONS = 50
TRIES = 4
NO_VERSION = "1"
"""A resource version that no object has: it makes an apply fail if the object exists."""
LONGEST_PAUSE = 5.0
"""Seconds. Maximum pause for an overloaded API server (429 with Retry-After), for each try."""

JSON = "application/json"
METADATA = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_LEASES = "/apis/coordination.k8s.io/"


class KubernetesError(Exception):
    """The API server refused a request, or could not be reached (status 0)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def is_conflict(self) -> bool:
        """Whether the object was changed by another client since it was read."""
        return self.status == 409 and self.reason == "Conflict"  # noqa: PLR2004


class _Call(NamedTuple):
    """A request, which may be sent several times."""

    method: str
    path: str
    query: Mapping[str, str] | None
    headers: Mapping[str, str]
    data: bytes | None


class KubernetesApi:
    """A session with the API server. `login` returns its connection, a new one after a 401."""

    def __init__(self, login: Callable[[], Awaitable[kopf.ConnectionInfo]]) -> None:
        self._login = login
        self._session: aiohttp.ClientSession | None = None
        self._retired: aiohttp.ClientSession | None = None
        self._logging_in = asyncio.Lock()
        self.on_unidentified: Callable[[str, int], None] = lambda _kind, _count: None
        """Called with kind and number when a list has objects whose name can't be read."""
        self.on_request: Callable[[str, int], None] = lambda _verb, _code: None
        self.before_write: Callable[[], None] = lambda: None
        """Called right before each write is sent (see `fencing`); an exception keeps it from being
        sent. Not called for writes of Leases, by which an operator gets permission to write."""
        self.write_seconds: float | None = None
        """Time-out of a write, here and in the API server; None for that of a read."""

    async def close(self) -> None:
        """End the session."""
        for session in (self._session, self._retired):
            if session is not None:
                await session.close()
        self._session = self._retired = None

    async def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """Return the object, or None if it does not exist."""
        found = await self._found(kind, namespace, name, accept=JSON)
        return None if found is None else {"kind": kind, **found}

    async def server_version(self) -> JsonObject:
        """Return `major` and `minor` of the API server, as texts."""
        return dict(from_json((await self._answer("GET", "version")).text))

    async def items(
        self,
        kind: str,
        *,
        namespace: str = "",
        labels: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[JsonObject]:
        """Iterate over the objects of a kind with those labels, in a namespace or (empty) all.

        With `metadata_only`, the API server sends nothing else of each object.
        """
        accept = METADATA_LIST if metadata_only else JSON
        async for item in self._listed(kind, namespace, labels or {}, accept=accept):
            yield item

    async def version_of(self, kind: str, namespace: str, name: str) -> str | None:
        """Return the resource version without reading the object; None if it does not exist."""
        found = await self._found(kind, namespace, name, accept=METADATA)
        return None if found is None else str(found["metadata"]["resourceVersion"])

    async def _found(
        self, kind: str, namespace: str, name: str, *, accept: str
    ) -> JsonObject | None:
        try:
            return await self._object("GET", kind, path_of(kind, namespace, name), accept=accept)
        except KubernetesError as error:
            if error.status != 404:  # noqa: PLR2004
                raise
            return None

    async def versions(
        self, kind: str, *, namespace: str = "", labels: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[NamespacedName, int]]:
        """Iterate over the names and resource versions of the objects that `items` would return."""
        async for item in self._listed(kind, namespace, labels or {}, accept=METADATA_LIST):
            meta = item["metadata"]
            yield (
                NamespacedName(meta["namespace"], meta["name"]),
                int(meta.get("resourceVersion", 0)),
            )

    async def _listed(
        self, kind: str, namespace: str, labels: Mapping[str, str], *, accept: str
    ) -> AsyncIterator[JsonObject]:
        """Iterate over the objects of a list, with stubs for those that can't be read.

        A page that is too long is requested again with fewer objects. A list that has expired is
        started again, so that some objects come twice.
        """
        query = {"labelSelector": selector_of(labels)}
        limit, begun, more = PAGE, 1, ""
        path = path_of(kind, namespace)
        while True:
            asked = {**query, "limit": str(limit), "continue": more}
            try:
                page = await self._page(path, asked, accept=accept)
            except KubernetesError as error:
                if error.status != 410 or begun == LISTINGS:  # noqa: PLR2004
                    raise
                begun, more = begun + 1, ""
                continue
            if not page.whole and limit > 1:
                limit = max(1, limit // 8)
                continue
            for item in self._items_of(page, kind, namespace):
                yield item
            if not page.more:
                return
            more = page.more
            if len(page.text) < answers.LONGEST_ANSWER // 4:
                limit = min(PAGE, limit * 2)

    def _items_of(self, page: Page, kind: str, namespace: str) -> Iterator[JsonObject]:
        try:
            yield from page.items(kind, api_version_of(kind))
        except MalformedError as error:
            raise _no_object(200, "GET", path_of(kind, namespace)) from error
        if page.more is None:
            raise _no_object(200, "GET", path_of(kind, namespace))
        if page.unidentified:
            self.on_unidentified(kind, page.unidentified)

    async def _page(self, path: str, query: Mapping[str, str], *, accept: str) -> Page:
        query = {key: value for key, value in query.items() if value}
        answer = await self._answer("GET", path, query=query, accept=accept)
        return Page(answer.text, answer.whole)

    async def apply(self, manifest: JsonObject, *, new: bool = False) -> JsonObject:
        """Apply a manifest (server-side), restoring fields that others have changed.

        With `new` it is a conflict if an object of that name exists.
        """
        meta = manifest["metadata"]
        path = path_of(manifest["kind"], meta["namespace"], meta["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        if new:
            manifest = {**manifest, "metadata": {**meta, "resourceVersion": NO_VERSION}}
        return await self._object(
            "PATCH", manifest["kind"], path, query=query, body=manifest, type_=APPLY_PATCH
        )

    async def merge(
        self, kind: str, namespace: str, name: str, patch: JsonObject, *, subresource: str = ""
    ) -> JsonObject:
        """Merge-patch an object or its subresource."""
        path = path_of(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        query = {"fieldManager": FIELD_MANAGER}
        # The subresource `scale` returns another kind.
        answered = "" if subresource == "scale" else kind
        return await self._object(
            "PATCH", answered, path, query=query, body=patch, type_=MERGE_PATCH
        )

    async def scale(self, kind: str, namespace: str, name: str, replicas: int) -> JsonObject:
        """Set the number of replicas through the subresource `scale`. Returns the Scale."""
        patch = {"spec": {"replicas": replicas}}
        return await self.merge(kind, namespace, name, patch, subresource="scale")

    async def delete(
        self, kind: str, namespace: str, name: str, *, uid: str, resource_version: str = ""
    ) -> None:
        """Delete the object with that uid, and that version if one is given.

        Its dependents are garbage-collected afterwards. An object that is already gone counts as
        deleted; one of the same name with another uid or version is a conflict.
        """
        preconditions = {"uid": uid}
        if resource_version:
            preconditions["resourceVersion"] = resource_version
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": "Background",
        }
        try:
            await self._object("DELETE", "", path_of(kind, namespace, name), body=body)
        except KubernetesError as error:
            if error.status != 404:  # noqa: PLR2004
                raise

    async def create(self, manifest: JsonObject) -> JsonObject:
        """Create an object."""
        path = path_of(manifest["kind"], manifest["metadata"]["namespace"])
        query = {"fieldManager": FIELD_MANAGER}
        return await self._object("POST", "", path, query=query, body=manifest)

    async def replace(self, manifest: JsonObject) -> JsonObject:
        """Replace an object. A conflict unless it still has the version of the manifest."""
        meta = manifest["metadata"]
        path = path_of(manifest["kind"], meta["namespace"], meta["name"])
        query = {"fieldManager": FIELD_MANAGER}
        return await self._object("PUT", "", path, query=query, body=manifest)

    async def _object(
        self,
        method: str,
        kind: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        type_: str = JSON,
        accept: str = JSON,
    ) -> JsonObject:
        """Send a request and return the object of the answer, or its stub. An empty kind is any."""
        answer = await self._answer(
            method, path, query=query, body=body, type_=type_, accept=accept
        )
        found = read_object(answer.text, kind, api_version_of(kind) if kind else "")
        if found is not None:
            return found
        raise _no_object(answer.status, method, path)

    async def _answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        type_: str = JSON,
        accept: str = JSON,
    ) -> "Answer":
        # A few compressed kilobytes could expand to more than may be held in memory.
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = type_
        data = None if body is None else to_json(body)
        call = _Call(method, path, query, headers, data)
        session = await self._connected()
        answer = await self._send_with_retries(session, call)
        if answer.status == 401:  # noqa: PLR2004
            session = await self._connected(instead_of=session)
            answer = await self._send_with_retries(session, call)
        if answer.status >= 400:  # noqa: PLR2004
            refusal = refusal_of(answer.text)
            raise KubernetesError(
                answer.status,
                str(refusal.get("reason", "")),
                f"{method} {path}: {answer.status} {refusal.get('message', '')}",
            )
        return answer

    async def _send_with_retries(self, session: aiohttp.ClientSession, call: "_Call") -> "Answer":
        """Send, and send again after the pause that an overloaded API server asks for.

        The caller waits meanwhile: going on with the next object would only add to the load.
        Requests for Leases do not wait; a renewal has its own retries.
        """
        for _ in range(TRIES - 1):
            answer = await self._send(session, call)
            if answer.status != 429 or answer.pause is None or "/leases" in call.path:  # noqa: PLR2004
                return answer
            await sleep(min(answer.pause, LONGEST_PAUSE))
        return await self._send(session, call)

    async def _send(self, session: aiohttp.ClientSession, call: "_Call") -> "Answer":
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
                text, whole = await beginning_of(response)
                self.on_request(call.method, response.status)
                return Answer(response.status, text, whole, retry_after(response.headers))
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
                # Other requests may be under way in the old session: close it one login later.
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


def _no_object(status: int, method: str, path: str) -> KubernetesError:
    """Return the error of an answer that is not an object, as a proxy in between may send."""
    return KubernetesError(status, "NoObject", f"{method} {path}: {status} without an object")
