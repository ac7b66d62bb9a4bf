"""A client of the registry's REST API, which addresses assets by reference."""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from tradingbot_api.asset import AssetStatus, AssetType
from tradingbot_api.assetregistry import SecretRef
from tradingbot_api.model import JsonObject

from tradingbot_operator.fencing import fenced
from tradingbot_operator.registry_tls import (
    AuthorityError,
    TrustedAuthorities,
    cluster_domain,
    may_carry_token,
)
from tradingbot_operator.settings import OperatorSettings

TIMEOUT = aiohttp.ClientTimeout(total=10, connect=2)
PAGE_SIZE = 100


class OwnedAsset(BaseModel):
    """An asset of an owner as the registry answers it: what the operator reads, or gives back."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)

    id: str
    external_ref: str
    name: str
    type: AssetType
    status: AssetStatus
    effective_status: str
    description: str
    tags: list[str]
    config: JsonObject
    secret_ref: SecretRef | None
    depends_on: list[str]
    unresolved: list[str]


_PAGE = TypeAdapter(list[OwnedAsset])
_COMPUTED = {"id", "external_ref", "effective_status", "unresolved"}


class RegistryError(Exception):
    """A request to the registry failed."""


class RegistryUnavailableError(RegistryError):
    """The registry can't be reached, or failed by itself: the request may succeed later."""


class RegistryRefusedError(RegistryError):
    """The registry refused the request, and will again until something changes."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        waits_for: tuple[str, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.waits_for = waits_for
        """The dependencies that are missing or in Draft, so that the asset can't be Active yet."""


class RegistryClient:
    """A session with the registry at `base_url`. `token` returns the bearer token, empty for none.

    Over https, the registry's certificate must be issued by an authority in `ca_file` (empty: one
    of the system), for `server_name` (empty: the host of `base_url`).
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: Callable[[], str] = lambda: "",
        ca_file: str = "",
        server_name: str = "",
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._authorities = TrustedAuthorities(ca_file)
        self._server_name = server_name or None
        self._session: aiohttp.ClientSession | None = None
        self.before_write: Callable[[], None] = lambda: None
        """Called right before each write is sent; an exception keeps it from being sent."""
        self.write_seconds: float | None = None
        """Time-out of a write; None for that of a read."""

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def upsert(
        self, ref: str, asset: JsonObject, *, force: bool = False, blocked_by_prefix: str = ""
    ) -> JsonObject:
        """Create or replace the asset with that reference. Without a change, it keeps its version.

        Active assets that depend on it prevent it from becoming Inactive: with
        `blocked_by_prefix` only those whose references start with this prefix, with `force` none.
        """
        query = {"force": "true"} if force else {}
        if blocked_by_prefix:
            query["blocked_by_prefix"] = blocked_by_prefix
        answer = await self._request("PUT", f"assets/by-ref/{ref}", query=query, body=asset)
        if not isinstance(answer, dict):
            raise self._not_a_registry()
        return answer

    async def delete(self, ref: str, *, unresolve: bool = True) -> None:
        """Delete the asset with that reference, if it exists.

        With `unresolve`, assets that depend on it keep an unresolved reference. Without it, they
        make the registry refuse.
        """
        query = {"unresolve": "true"} if unresolve else None
        try:
            await self._request("DELETE", f"assets/by-ref/{ref}", query=query)
        except RegistryRefusedError as error:
            if error.status != 404:  # noqa: PLR2004
                raise

    async def report(self, reports: list[JsonObject]) -> None:
        """Replace the last reports of assets. Those that no asset has are dropped."""
        await self._request("POST", "reports", body={"reports": reports})

    async def release(self, asset: OwnedAsset) -> None:
        """Hand an asset over to users: it is kept unchanged, and no controller manages it."""
        kept = asset.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=_COMPUTED)
        await self.upsert(asset.external_ref, {**kept, "managedBy": "user"})

    async def owned(self, prefix: str) -> AsyncIterator[OwnedAsset]:
        """Iterate over the assets whose references start with `prefix`."""
        query = {"external_ref_prefix": prefix, "page_size": str(PAGE_SIZE)}
        while True:
            found, headers = await self._exchange("GET", "assets", query=query)
            try:
                page = _PAGE.validate_python(found)
            except ValidationError as error:
                raise self._not_a_registry() from error
            for asset in page:
                yield asset
            if len(found) < PAGE_SIZE:
                return
            cursor = self._next_cursor(headers)
            if cursor is None:
                return
            query["cursor"] = cursor

    def _next_cursor(self, headers: Mapping[str, str]) -> str | None:
        """Return the cursor of the next page, which what is deleted meanwhile does not move."""
        try:
            cursor = json.loads(headers["X-Pagination"])["next_cursor"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._not_a_registry() from error
        return None if cursor is None else str(cursor)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: JsonObject | None = None,
    ) -> Any:
        return (await self._exchange(method, path, query=query, body=body))[0]

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: JsonObject | None = None,
    ) -> tuple[Any, Mapping[str, str]]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=TIMEOUT, request_class=fenced(self._before_sending)
            )
        url = f"{self._base_url}/api/v1/{path}"
        timeout = TIMEOUT
        if method != "GET" and self.write_seconds is not None:
            timeout = aiohttp.ClientTimeout(total=self.write_seconds, connect=TIMEOUT.connect)
        try:
            async with self._session.request(
                method,
                url,
                params=query,
                json=body,
                headers=self._headers(),
                timeout=timeout,
                allow_redirects=False,  # the token must not follow them
                ssl=self._context(),
                server_hostname=self._server_name,
            ) as response:
                answer = await response.json(content_type=None) if response.status != 204 else None  # noqa: PLR2004
        except aiohttp.ClientConnectorCertificateError as error:
            raise RegistryUnavailableError(
                f"the server at {self._base_url} is not trusted as the registry, and nothing was"
                f" sent to it: {error.certificate_error}"
            ) from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise RegistryUnavailableError(
                f"the registry at {self._base_url} does not answer ({type(error).__name__})"
            ) from error
        if response.status >= 500 or response.status in {401, 403, 429}:  # noqa: PLR2004
            raise RegistryUnavailableError(
                f"the registry answered {response.status}: {_detail(answer)}"
            )
        if response.status >= 400:  # noqa: PLR2004
            raise RegistryRefusedError(
                response.status,
                _detail(answer),
                waits_for=_waits_for(answer),
            )
        if response.status >= 300:  # noqa: PLR2004
            raise self._not_a_registry()
        return answer, response.headers

    def _headers(self) -> dict[str, str]:
        try:
            token = self._token()
        except OSError as error:
            raise RegistryUnavailableError(
                f"the token for the registry can't be read: {error}"
            ) from error
        if not token:
            return {}
        if not may_carry_token(self._base_url):
            raise RegistryUnavailableError(
                f"the token is not sent unencrypted to {self._base_url}: use https"
            )
        return {"Authorization": f"Bearer {token}"}

    def _context(self) -> ssl.SSLContext | bool:
        if not self._base_url.startswith("https://"):
            return True
        try:
            return self._authorities.context()
        except AuthorityError as error:
            raise RegistryUnavailableError(str(error)) from error

    def _before_sending(self, request: aiohttp.ClientRequest) -> None:
        if request.method != "GET":
            self.before_write()

    def _not_a_registry(self) -> RegistryUnavailableError:
        return RegistryUnavailableError(
            f"the server at {self._base_url} is not a registry; check --registry-url"
        )


def registry_client_of(settings: OperatorSettings) -> RegistryClient | None:
    """Return the client of the settings; None if the registry is disabled."""
    if not settings.registry_url:
        return None
    domain = settings.cluster_domain or cluster_domain()
    return RegistryClient(
        settings.registry_url.replace("{cluster_domain}", domain),
        token=token_from(settings.registry_token_file),
        ca_file=settings.registry_ca_file,
        server_name=settings.registry_server_name,
    )


def token_from(file: str) -> Callable[[], str]:
    """Return a function that reads the token in `file` each time, since tokens are rotated."""
    return lambda: Path(file).read_text(encoding="utf-8").strip() if file else ""


def _waits_for(problem: Any) -> tuple[str, ...]:
    found = problem if isinstance(problem, dict) else {}
    unresolved, drafts = found.get("unresolved"), found.get("drafts")
    missing = map(str, unresolved if isinstance(unresolved, list) else ())
    in_draft = drafts if isinstance(drafts, list) else ()
    return (*missing, *(_name_of(asset) for asset in in_draft if isinstance(asset, dict)))


def _name_of(asset: JsonObject) -> str:
    return f"{asset.get('externalRef') or asset.get('name')} (Draft)"


def _detail(problem: Any) -> str:
    """Return the detail of a problem document, with its list of errors."""
    if not isinstance(problem, dict):
        return "no explanation"
    errors = problem.get("errors")
    if not isinstance(errors, list):
        errors = []
    lines = [f"{error.get('pointer', '')}: {error.get('detail', '')}" for error in errors]
    return "; ".join([str(problem.get("detail") or problem.get("title") or ""), *lines])
