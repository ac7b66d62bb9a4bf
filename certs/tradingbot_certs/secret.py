"""Certificates in two Kubernetes Secrets.

NAME, of type kubernetes.io/tls, holds tls.crt, tls.key and ca.crt and is mounted by the server.
NAME-ca holds ca.crt, the key of the authority and, during a replacement, the key of its successor;
no pod mounts it. A write names the resourceVersion that was read, so two processes can't revert
each other.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from kubernetes.client import ApiClient, CoreV1Api, V1ObjectMeta, V1Secret
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from tradingbot_certs.errors import ClusterError, ConflictError, ForeignCertificateError
from tradingbot_certs.state import Stored

FIELD_MANAGER = "tradingbot-certs"
REQUEST_TIMEOUT = 10.0
"""Seconds that one request to the API server may take."""

_TLS_TYPE = "kubernetes.io/tls"
_CA_TYPE = "Opaque"
_NOT_FOUND = 404
_CONFLICT = 409


class SecretStore:
    """A store in the Secrets `name` and `ca_name` of `namespace`."""

    def __init__(
        self,
        client: ApiClient,
        *,
        namespace: str,
        name: str,
        ca_name: str,
        server: str = "tradingbot-webhooks",
    ) -> None:
        self._core = CoreV1Api(client)
        self._namespace = namespace
        self._name = name
        self._ca_name = ca_name
        self._labels = {
            "app.kubernetes.io/name": server,
            "app.kubernetes.io/managed-by": FIELD_MANAGER,
        }
        self._versions: dict[str, str] = {}

    @property
    def place(self) -> str:
        return f"the Secret {self._namespace}/{self._name}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Return a context that holds no lock: every write is conditional."""
        yield

    def load(self) -> Stored:
        """Read the serving Secret first; see the table in `rotation`."""
        serving = self._read(self._name, expected_type=_TLS_TYPE)
        authority = self._read(self._ca_name, expected_type=_CA_TYPE)
        return Stored(
            ca_crt=authority.get("ca.crt"),
            ca_key=authority.get("ca.key"),
            next_key=authority.get("next.key"),
            since=authority.get("since"),
            tls_crt=serving.get("tls.crt"),
            tls_key=serving.get("tls.key"),
            tls_ca_crt=serving.get("ca.crt"),
        )

    def save_authorities(self, files: Mapping[str, bytes]) -> None:
        self._write(self._ca_name, secret_type=_CA_TYPE, data=files)

    def save_serving(self, files: Mapping[str, bytes]) -> None:
        self._write(self._name, secret_type=_TLS_TYPE, data=files)

    def _read(self, name: str, *, expected_type: str) -> dict[str, bytes]:
        self._versions.pop(name, None)
        with explained(f"read the Secret {self._namespace}/{name}"):
            try:
                secret = self._core.read_namespaced_secret(
                    name, self._namespace, _request_timeout=REQUEST_TIMEOUT
                )
            except ApiException as error:
                if error.status == _NOT_FOUND:
                    return {}
                raise
        if secret.type != expected_type:
            raise ForeignCertificateError(
                f"the Secret {self._namespace}/{name} has the type {secret.type}, not"
                f" {expected_type}: choose another --secret, or delete it if it may be replaced"
            )
        self._remember(name, secret)
        return {key: _decoded(value) for key, value in (secret.data or {}).items()}

    def _write(self, name: str, *, secret_type: str, data: Mapping[str, bytes]) -> None:
        version = self._versions.get(name)
        secret = V1Secret(
            api_version="v1",
            kind="Secret",
            metadata=V1ObjectMeta(name=name, labels=self._labels, resource_version=version),
            type=secret_type,
            data={key: base64.b64encode(value).decode() for key, value in data.items()},
        )
        conflicts = {_CONFLICT} if version is None else {_CONFLICT, _NOT_FOUND}
        with explained(f"write the Secret {self._namespace}/{name}", conflicts=conflicts):
            if version is None:
                written = self._core.create_namespaced_secret(
                    self._namespace,
                    secret,
                    field_manager=FIELD_MANAGER,
                    _request_timeout=REQUEST_TIMEOUT,
                )
            else:
                written = self._core.replace_namespaced_secret(
                    name,
                    self._namespace,
                    secret,
                    field_manager=FIELD_MANAGER,
                    _request_timeout=REQUEST_TIMEOUT,
                )
        self._remember(name, written)

    def _remember(self, name: str, secret: V1Secret) -> None:
        if secret.metadata is not None and secret.metadata.resource_version is not None:
            self._versions[name] = secret.metadata.resource_version


@contextmanager
def explained(action: str, *, conflicts: Collection[int] = (_CONFLICT,)) -> Iterator[None]:
    """Convert exceptions of the client into a ClusterError that names the failed action.

    The codes `conflicts` mean that another writer changed or deleted the object.
    """
    try:
        yield
    except ApiException as error:
        kind = ConflictError if error.status in conflicts else ClusterError
        raise kind(
            f"cannot {action}: the API server answered {error.status} {error.reason}"
        ) from error
    except (HTTPError, OSError) as error:
        raise ClusterError(f"cannot {action}: the API server is unreachable: {error}") from error


def _decoded(value: str | bytes) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""
