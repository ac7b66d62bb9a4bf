"""Inject the authority into the `caBundle` of the webhook configurations.

Each configuration gets a JSON patch of that field alone. The patch names the resourceVersion that
was read and fails if the object has changed since, so it never reverts the change of another
writer. A bundle that is in place is not written again.
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
    """Injects into each mutating or validating webhook configuration whose name is in `names`."""

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
        """Return the caBundle of each webhook, as PEM; empty if it has none."""
        looked = [self._look(kind, name) for kind in self._kinds for name in self._names]
        self._found = tuple(configuration for configuration in looked if configuration is not None)
        return tuple(bundle for configuration in self._found for bundle in configuration.bundles)

    def missing(self) -> frozenset[str]:
        """Return the names for which the last `read` found no configuration."""
        return frozenset(self._names) - {configuration.name for configuration in self._found}

    def inject(self, ca_crt: bytes) -> None:
        """Write `ca_crt` (PEM) into the configurations that `read` returned without it.

        Raises ConflictError if one has changed since.
        """
        for configuration in self._found:
            if all(bundle == ca_crt for bundle in configuration.bundles):
                continue
            extra = {"kind": configuration.kind.name, "configuration": configuration.name}
            with explained(
                f"inject caBundle into {configuration.kind.name} {configuration.name}",
                conflicts=_CONFLICTS,
            ):
                configuration.kind.patch(
                    configuration.name,
                    _operations(configuration, ca_crt),
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
        bundles = tuple(
            _decoded(webhook.client_config.ca_bundle) for webhook in found.webhooks or []
        )
        return _Found(kind, name, found.metadata.resource_version, bundles)


def _operations(found: _Found, ca_crt: bytes) -> list[dict[str, str]]:
    value = base64.b64encode(ca_crt).decode()
    # With a resourceVersion in the object the API server refuses to patch any other version.
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
