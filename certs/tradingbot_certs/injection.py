"""Make the API server trust the authority: write it into the webhooks' `caBundle`, and only there.

Each configuration gets a JSON patch of that one field, which names the version that was read: it
fails if anything has changed since. So nobody else's change is undone, and nothing is written when
the bundle is already in place.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from kubernetes.client import AdmissionregistrationV1Api, ApiClient
from kubernetes.client.exceptions import ApiException

from tradingbot_certs.secret import FIELD_MANAGER, REQUEST_TIMEOUT, explained

logger = logging.getLogger(__name__)

_NOT_FOUND = 404
_CONFLICTS = frozenset({_NOT_FOUND, 409})
_JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True)
class _Kind:
    name: str
    read: Callable[..., Any]
    patch: Callable[..., Any]


@dataclass(frozen=True)
class _Found:
    """A configuration as it was read."""

    kind: _Kind
    name: str
    version: str
    bundles: tuple[bytes, ...]


class Injector:
    """Injects into every webhook configuration, mutating or validating, that has one of `names`."""

    def __init__(self, client: ApiClient, names: Iterable[str]) -> None:
        api = AdmissionregistrationV1Api(client)
        self._kinds = (
            _Kind(
                "MutatingWebhookConfiguration",
                api.read_mutating_webhook_configuration,
                api.patch_mutating_webhook_configuration,
            ),
            _Kind(
                "ValidatingWebhookConfiguration",
                api.read_validating_webhook_configuration,
                api.patch_validating_webhook_configuration,
            ),
        )
        self._names = tuple(names)
        self._found: tuple[_Found, ...] = ()

    def read(self) -> tuple[bytes, ...]:
        """The caBundle of each webhook, as PEM; empty of one that has none."""
        looked = [self._look(kind, name) for kind in self._kinds for name in self._names]
        self._found = tuple(one for one in looked if one is not None)
        return tuple(bundle for one in self._found for bundle in one.bundles)

    def missing(self) -> frozenset[str]:
        """The names of which the last `read` has found no configuration."""
        return frozenset(self._names) - {one.name for one in self._found}

    def inject(self, ca_crt: bytes) -> None:
        """Write `ca_crt` (PEM) into those that `read` saw without it.

        Raises ConflictError if one has changed since.
        """
        for one in self._found:
            if all(bundle == ca_crt for bundle in one.bundles):
                continue
            extra = {"kind": one.kind.name, "configuration": one.name}
            with explained(
                f"inject caBundle into {one.kind.name} {one.name}", conflicts=_CONFLICTS
            ):
                one.kind.patch(
                    one.name,
                    _operations(one, ca_crt),
                    field_manager=FIELD_MANAGER,
                    _content_type=_JSON_PATCH,
                    _request_timeout=REQUEST_TIMEOUT,
                )
            logger.info("caBundle injected", extra=extra)

    def _look(self, kind: _Kind, name: str) -> _Found | None:
        with explained(f"read the {kind.name} {name}"):
            try:
                found = kind.read(name, _request_timeout=REQUEST_TIMEOUT)
            except ApiException as error:
                if error.status == _NOT_FOUND:
                    return None
                raise
        bundles = tuple(_decoded(one.client_config.ca_bundle) for one in found.webhooks or [])
        return _Found(kind, name, found.metadata.resource_version, bundles)


def _operations(found: _Found, ca_crt: bytes) -> list[dict[str, str]]:
    value = base64.b64encode(ca_crt).decode()
    # A version in the object makes the API server refuse the patch of any other one.
    version = {"op": "replace", "path": "/metadata/resourceVersion", "value": found.version}
    return [
        version,
        *(
            {
                "op": "add",  # RFC 6902: replaces the member if it is there
                "path": f"/webhooks/{index}/clientConfig/caBundle",
                "value": value,
            }
            for index, bundle in enumerate(found.bundles)
            if bundle != ca_crt
        ),
    ]


def _decoded(bundle: str | None) -> bytes:
    try:
        return base64.b64decode(bundle or "", validate=True)
    except binascii.Error:
        return b""
