"""The registry's REST API, as its one client that keeps assets by reference."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
from tradingbot_api.model import JsonObject

from tradingbot_operator.fencing import fenced

TIMEOUT = aiohttp.ClientTimeout(total=10, connect=2)
PAGE_SIZE = 100

_WRITABLE = (
    "name",
    "type",
    "status",
    "description",
    "tags",
    "config",
    "secretRef",
    "dependsOn",
)


class RegistryError(Exception):
    """The registry did not do what was asked."""


class RegistryUnavailableError(RegistryError):
    """It can't be reached or has a fault of its own: worth another try later."""


class RegistryRefusedError(RegistryError):
    """It understood and refused: the same request will be refused again until something changes."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class RegistryClient:
    """A session with the registry at `base_url`; `token` gives the bearer token, if any."""

    def __init__(self, base_url: str, *, token: Callable[[], str] = lambda: "") -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self.before_write: Callable[[], None] = lambda: None
        """Called right before a write is sent; what it raises keeps the write from being sent."""
        self.write_seconds: float | None = None
        """How long a write may take; None: as long as a read."""

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def upsert(self, ref: str, asset: JsonObject, *, force: bool = False) -> JsonObject:
        """Make the asset of that reference what `asset` says; no change makes no new version.

        With `force` it goes Inactive even if Active assets depend on it.
        """
        query = {"force": "true"} if force else None
        answer = await self._request("PUT", f"assets/by-ref/{ref}", query=query, body=asset)
        if not isinstance(answer, dict):
            raise self._no_registry()
        return answer

    async def delete(self, ref: str) -> None:
        """Remove the asset of that reference; one that is not there is fine."""
        try:
            await self._request("DELETE", f"assets/by-ref/{ref}")
        except RegistryRefusedError as error:
            if error.status != 404:  # noqa: PLR2004
                raise

    async def release(self, asset: JsonObject) -> None:
        """Leave an asset to people: it stays as it is and nobody's controller keeps it."""
        kept = {key: asset[key] for key in _WRITABLE if asset.get(key) is not None}
        await self.upsert(asset["externalRef"], {**kept, "managedBy": "user"})

    async def owned(self, prefix: str) -> AsyncIterator[JsonObject]:
        """All assets whose reference begins with `prefix`."""
        page = 1
        while True:
            query = {"external_ref_prefix": prefix, "page": str(page), "page_size": str(PAGE_SIZE)}
            found = await self._request("GET", "assets", query=query)
            if not isinstance(found, list):
                raise self._no_registry()
            for asset in found:
                yield asset
            if len(found) < PAGE_SIZE:
                return
            page += 1

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: JsonObject | None = None,
    ) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=TIMEOUT, request_class=fenced(self._before_sending)
            )
        try:
            token = self._token()
        except OSError as error:
            raise RegistryUnavailableError(
                f"the token for the registry can't be read: {error}"
            ) from error
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self._base_url}/api/v1/{path}"
        timeout = TIMEOUT
        if method != "GET" and self.write_seconds is not None:
            timeout = aiohttp.ClientTimeout(total=self.write_seconds, connect=TIMEOUT.connect)
        try:
            async with self._session.request(
                method, url, params=query, json=body, headers=headers, timeout=timeout
            ) as response:
                answer = await response.json(content_type=None) if response.status != 204 else None  # noqa: PLR2004
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise RegistryUnavailableError(
                f"the registry at {self._base_url} does not answer ({type(error).__name__})"
            ) from error
        if response.status >= 500 or response.status in {401, 403, 429}:  # noqa: PLR2004
            raise RegistryUnavailableError(
                f"the registry answered {response.status}: {_detail(answer)}"
            )
        if response.status >= 400:  # noqa: PLR2004
            raise RegistryRefusedError(response.status, _detail(answer))
        return answer

    def _before_sending(self, request: aiohttp.ClientRequest) -> None:
        if request.method != "GET":
            self.before_write()

    def _no_registry(self) -> RegistryUnavailableError:
        return RegistryUnavailableError(
            f"what answers at {self._base_url} is no registry; check --registry-url"
        )


def token_from(file: str) -> Callable[[], str]:
    """A function that reads the token of `file` (empty: none) anew, since tokens are rotated."""
    return lambda: Path(file).read_text(encoding="utf-8").strip() if file else ""


def _detail(problem: Any) -> str:
    """What a problem document says, with its list of errors."""
    if not isinstance(problem, dict):
        return "no explanation"
    errors = problem.get("errors")
    if not isinstance(errors, list):
        errors = []
    lines = [f"{one.get('pointer', '')}: {one.get('detail', '')}" for one in errors]
    return "; ".join([str(problem.get("detail") or problem.get("title") or ""), *lines])
