"""Accessors for JSON of unknown types: values of another type are left out."""

from typing import Any

from tradingbot_api.model import JsonObject


def mapping(value: Any) -> JsonObject:
    """Return an object as it is, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[JsonObject]:
    """Return the objects in a list, and none for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
