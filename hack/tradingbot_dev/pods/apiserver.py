"""The requests to the API server that a kubelet makes."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

JsonObject = dict[str, Any]

MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
TIMEOUT_SECONDS = 10.0
WATCH_SECONDS = 300


class ApiError(Exception):
    """The API server did not answer, or refused a request."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Credentials:
    """Where the API server is, and the files of a client certificate."""

    server: str
    ca: Path
    certificate: Path
    key: Path


class ApiServer:
    """Requests to one API server on shared connections."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server

    async def get(self, path: str) -> JsonObject | None:
        """Return the object, or None if it does not exist."""
        try:
            return await self._request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def post(self, path: str, body: JsonObject) -> JsonObject:
        return await self._request("POST", path, body)

    async def patch(self, path: str, body: JsonObject, *, type_: str) -> JsonObject:
        return await self._request("PATCH", path, body, type_=type_)

    async def delete(self, path: str, options: JsonObject) -> None:
        await self._request("DELETE", path, options)

    async def watch(self, path: str, *, since: str) -> AsyncIterator[JsonObject]:
        """Yield the events of a list since a resource version, until the API server ends it.

        `path` has a query already. Raises ApiError, with status 410 for a version that is too old.
        """
        url = f"{path}&watch=true&resourceVersion={since}&timeoutSeconds={WATCH_SECONDS}"
        timeout = aiohttp.ClientTimeout(total=None, sock_read=WATCH_SECONDS + TIMEOUT_SECONDS)
        try:
            async with self._session.get(f"{self._server}{url}", timeout=timeout) as answer:
                if answer.status != 200:
                    raise ApiError(await answer.text(), status=answer.status)
                rest = b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        yield _event(line)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise ApiError(f"{type(error).__name__}: {error}") from error

    async def _request(
        self, method: str, path: str, body: JsonObject | None = None, *, type_: str = ""
    ) -> JsonObject:
        headers = {"Content-Type": type_ or "application/json"}
        data = None if body is None else json.dumps(body)
        try:
            async with self._session.request(
                method, f"{self._server}{path}", data=data, headers=headers
            ) as answer:
                text = await answer.text()
                if answer.status >= 300:
                    raise ApiError(_message(text), status=answer.status)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise ApiError(f"{type(error).__name__}: {error}") from error
        found: JsonObject = json.loads(text)
        return found


@asynccontextmanager
async def connected(credentials: Credentials) -> AsyncIterator[ApiServer]:
    """Connect to an API server with a client certificate."""
    context = await asyncio.to_thread(_tls, credentials)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
    ) as session:
        yield ApiServer(session, credentials.server)


def _tls(credentials: Credentials) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(credentials.ca))
    context.load_cert_chain(credentials.certificate, credentials.key)
    return context


def _event(line: bytes) -> JsonObject:
    event: JsonObject = json.loads(line)
    if event["type"] == "ERROR":
        found = event["object"]
        raise ApiError(found.get("message", "the watch failed"), status=found.get("code", 0))
    return event


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text
