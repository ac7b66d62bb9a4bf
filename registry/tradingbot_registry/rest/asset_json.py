"""Assets as JSON. Written out, since marshmallow takes thirty times as long for a page.

`AssetSchema` documents the same fields; a test compares them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response

from tradingbot_registry.inventory.record import Record
from tradingbot_registry.rest.json_text import json_text

JSON = "application/json"


def asset_json(asset: Record) -> dict[str, Any]:
    """Return an asset in full."""
    return {
        "id": asset.id,
        "name": asset.name,
        "type": asset.type,
        "status": asset.status,
        "effectiveStatus": asset.effective_status,
        "causedBy": [cause.as_json() for cause in asset.caused_by],
        "moreCauses": asset.more_causes,
        "description": asset.description,
        "tags": list(asset.tags),
        "config": asset.config,
        "secretRef": asset.secret_ref and asset.secret_ref.as_json(),
        "managedBy": asset.managed_by,
        "externalRef": asset.external_ref,
        "dependsOn": list(asset.depends_on),
        "unresolved": list(asset.unresolved),
        "version": asset.version,
        "createdAt": asset.created_at,
        "updatedAt": asset.updated_at,
    }


def parts_json(assets: Sequence[Record], names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return assets with these fields; None: in full."""
    whole = [asset_json(asset) for asset in assets]
    if names is None:
        return whole
    return [{name: asset[name] for name in names} for asset in whole]


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer with a JSON value, as a line, which no schema has to serialise."""
    return Response(json_text(value) + b"\n", status, headers, content_type=JSON)
