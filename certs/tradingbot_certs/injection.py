"""Make the API server trust the authority: write it into the webhooks' `caBundle`, and only there.

Each webhook gets a JSON patch of that one field, guarded by a test of the webhook's name. So nobody
else's change is undone, and nothing is written when the bundle is already in place.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable
from typing import Any

from kubernetes.client import AdmissionregistrationV1Api, ApiClient
from kubernetes.client.exceptions import ApiException

from tradingbot_certs.secret import FIELD_MANAGER, REQUEST_TIMEOUT, explained

logger = logging.getLogger(__name__)

_NOT_FOUND = 404
_JSON_PATCH = "application/json-patch+json"


class Injector:
    """Injects into every webhook configuration, mutating or validating, that has one of `names`."""

    def __init__(self, client: ApiClient, names: Iterable[str]) -> None:
        api = AdmissionregistrationV1Api(client)
        self._kinds = (
            (
                "MutatingWebhookConfiguration",
                api.read_mutating_webhook_configuration,
                api.patch_mutating_webhook_configuration,
            ),
            (
                "ValidatingWebhookConfiguration",
                api.read_validating_webhook_configuration,
                api.patch_validating_webhook_configuration,
            ),
        )
        self._names = tuple(names)

    def inject(self, ca_crt: bytes) -> frozenset[str]:
        """Put `ca_crt` (PEM) into the configurations. Returns the names that do not exist."""
        bundle = base64.b64encode(ca_crt).decode()
        found: set[str] = set()
        for kind, read, patch in self._kinds:
            for name in self._names:
                with explained(f"inject caBundle into {kind} {name}"):
                    try:
                        current = read(name, _request_timeout=REQUEST_TIMEOUT)
                    except ApiException as error:
                        if error.status == _NOT_FOUND:
                            continue
                        raise
                    found.add(name)
                    operations = _operations(current.webhooks or [], bundle)
                    if not operations:
                        continue
                    patch(
                        name,
                        operations,
                        field_manager=FIELD_MANAGER,
                        _content_type=_JSON_PATCH,
                        _request_timeout=REQUEST_TIMEOUT,
                    )
                    logger.info("caBundle injected", extra={"kind": kind, "configuration": name})
        return frozenset(self._names) - found


def _operations(webhooks: Iterable[Any], bundle: str) -> list[dict[str, str]]:
    operations: list[dict[str, str]] = []
    for index, webhook in enumerate(webhooks):
        if webhook.client_config.ca_bundle != bundle:
            operations += [
                {"op": "test", "path": f"/webhooks/{index}/name", "value": webhook.name},
                {
                    "op": "add",  # RFC 6902: replaces the member if it is there
                    "path": f"/webhooks/{index}/clientConfig/caBundle",
                    "value": bundle,
                },
            ]
    return operations
