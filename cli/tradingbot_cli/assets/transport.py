"""Two ways to a registry: its URL, or its Service through the API server of the cluster."""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import urllib3
from tradingbot_kubeconfig.source import KubeconfigError
from tradingbot_process.addresses import is_loopback
from tradingbot_registry.auth.gate import FORWARDED_AUTHORIZATION

from tradingbot_cli.errors import CommandError, UsageError

SECONDS = 30.0
"""For one answer. The registry itself waits at most 8 for its database."""
TOKEN = "TRADINGBOT_ASSETS_TOKEN"  # noqa: S105
"""The variable with a token."""
TOKEN_FILE = "TRADINGBOT_ASSETS_TOKEN_FILE"  # noqa: S105
URL = "TRADINGBOT_ASSETS_URL"
NAMESPACE = "tradingbot-system"
SERVICE = "https:tradingbot-registry:8090"
"""As the API server names a Service and its port in a path, `SCHEME:NAME:PORT`."""
AUDIENCE = "tradingbot-registry"
_TOKEN_SECONDS = 600  # The API server issues none for a shorter time.
_VISIBLE = re.compile("[!-~]+")


class AccessError(CommandError):
    """Raised when the registry, or the cluster before it, does not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is something else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the REST API: `path` is below `/api/v1/`."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None

    @property
    def target(self) -> str:
        """Path and query."""
        return f"/api/v1/{self.path}" + (f"?{urlencode(self.query)}" if self.query else "")

    @property
    def headers(self) -> dict[str, str]:
        """Headers without credentials."""
        found = {"Accept": "application/json, application/problem+json, text/plain"}
        return found | ({} if self.body is None else {"Content-Type": "application/json"})


class Transport(Protocol):
    """A way to a registry."""

    def send(self, request: Request) -> Answer:
        """Return the answer, whatever it is. Raises AccessError if there is none."""
        ...


class AtUrl:
    """A registry at a URL. Raises UsageError for what can't be used."""

    def __init__(self, url: str, token: str | None, ca_file: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise UsageError("--url must be http://HOST:PORT or https://HOST:PORT")
        if parts.username or parts.password:
            raise UsageError("--url may not have a password; give --token-file")
        if token and parts.scheme == "http" and not is_loopback(parts.hostname):
            raise UsageError("a token is not sent unencrypted: use https, or a port on localhost")
        self._url = url.rstrip("/")
        self._token = token
        options: dict[str, Any] = {}
        if parts.scheme == "https":
            options["ssl_context"] = _context(ca_file)
        self._pool = urllib3.PoolManager(retries=False, timeout=SECONDS, **options)

    def send(self, request: Request) -> Answer:
        """Send it to the URL."""
        headers = request.headers
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            response = self._pool.request(
                request.method,
                self._url + request.target,
                body=None if request.body is None else json.dumps(request.body),
                headers=headers,
                redirect=False,  # The token must not follow it.
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise AccessError(f"{self._url} does not answer: {_why(error)}") from error
        return Answer(response.status, response.headers, response.data)


class InCluster:
    """A registry behind the service proxy of the API server.

    The API server authenticates the caller by the kubeconfig and then removes `Authorization`, so
    the token for the registry has a header of its own.
    """

    def __init__(self, client: Any, namespace: str, service: str, token: str | None) -> None:
        self._client = client
        self._base = f"/api/v1/namespaces/{namespace}/services/{service}/proxy"
        self._token = token
        self._service = f"{namespace}/{service}"

    def send(self, request: Request) -> Answer:
        """Send it through the API server."""
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415

        headers = request.headers
        if self._token:
            headers[FORWARDED_AUTHORIZATION] = f"Bearer {self._token}"
        call = self._client.param_serialize(
            request.method,
            self._base + request.target,
            header_params=headers,
            body=request.body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._client.call_api(*call, _request_timeout=SECONDS)
            answer = Answer(int(response.status), response.headers, response.read())
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise AccessError(f"the API server does not answer: {_why(error)}") from error
        self._check_forwarded(answer)
        return answer

    def _check_forwarded(self, answer: Answer) -> None:
        """Raise AccessError for an answer of the API server itself: a Status."""
        said = answer.json
        if not isinstance(said, dict) or said.get("kind") != "Status":
            return
        reason = str(said.get("message") or answer.status)[:600]
        hint = ""
        if answer.status == _FORBIDDEN:
            hint = "; a Role with services/proxy in that namespace allows it"
        raise AccessError(f"the API server does not reach {self._service}: {reason}{hint}")


_FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the registry, as the flags say."""

    url: str | None
    token_file: str | None
    ca_file: str | None
    kubeconfig: str | None
    context: str | None
    namespace: str
    service: str
    service_account: str | None


def connect(access: Access, environment: Mapping[str, str]) -> Transport:
    """Return the way to the registry. Raises UsageError or AccessError."""
    token = _token(access.token_file or environment.get(TOKEN_FILE), environment.get(TOKEN))
    url = access.url or environment.get(URL)
    if url:
        if access.service_account or access.kubeconfig or access.context:
            raise UsageError(
                "--kubeconfig, --context and --service-account are for a cluster, and"
                f" --url or {URL} names a registry: give one or the other"
            )
        return AtUrl(url, token, access.ca_file)
    if access.ca_file:
        raise UsageError("--ca-file is for --url")
    from tradingbot_kubeconfig.client import connect as connect_client  # noqa: PLC0415

    try:
        client = connect_client(
            access.kubeconfig,
            context=access.context,
            remedy="give --kubeconfig, set KUBECONFIG, or name a registry with --url",
            retry=False,
        )
    except KubeconfigError as error:
        raise UsageError(str(error)) from error
    if access.service_account:
        token = _issued(client, access.service_account, access.namespace)
    return InCluster(client, access.namespace, access.service, token)


def _token(file: str | None, value: str | None) -> str | None:
    """Return the token of the file, or the value. Raises UsageError, which never shows it."""
    if file:
        try:
            value = Path(file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "no token"
            raise UsageError(f"token file {file}: {reason}") from error
    if not value:
        return None
    if not _VISIBLE.fullmatch(value):
        raise UsageError("the token has characters that no token has")
    return value


def _issued(client: Any, account: str, namespace: str) -> str:
    """Return a token of the ServiceAccount, for the registry alone and ten minutes."""
    from kubernetes.client import (  # noqa: PLC0415
        AuthenticationV1TokenRequest,
        CoreV1Api,
        V1TokenRequestSpec,
    )
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415

    owner, _, name = account.rpartition("/")
    spec = V1TokenRequestSpec(audiences=[AUDIENCE], expiration_seconds=_TOKEN_SECONDS)
    try:
        issued: Any = CoreV1Api(client).create_namespaced_service_account_token(
            name,
            owner or namespace,
            AuthenticationV1TokenRequest(spec=spec),
            _request_timeout=SECONDS,
        )
    except ApiException as error:
        message = (json.loads(error.body or "{}") if _is_json(error.body) else {}).get("message")
        raise AccessError(
            f"no token of ServiceAccount {owner or namespace}/{name}: {message or error.reason}"
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise AccessError(f"the API server does not answer: {_why(error)}") from error
    return str(issued.status.token)


def _is_json(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"CA file {ca_file}: can't be read as PEM") from error


def _why(error: BaseException) -> str:
    """Return the innermost reason, in one line."""
    while isinstance(inner := getattr(error, "reason", None), BaseException):
        error = inner
    said = str(getattr(error, "reason", "") or error).splitlines() or [""]
    return (said[-1].rpartition(">: ")[2] or type(error).__name__)[:600]
