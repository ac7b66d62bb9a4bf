"""Instants as Kubernetes writes them."""

from datetime import UTC, datetime
from typing import Any


def rfc3339(moment: datetime) -> str:
    """Return an instant as Kubernetes writes it, to the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(text: Any) -> datetime | None:
    """Parse an instant. Return None if `text` is not one, or has no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None
