"""Managed fields that are nested so deeply that a parser gives up."""

import json

from person import Person


def plant(person: Person, kind: str, name: str, api_version: str, depth: int) -> None:
    """Write managed fields that are nested so deeply; no webhook sees a change of metadata only."""
    entry = {
        "manager": "tenant",
        "operation": "Update",
        "apiVersion": api_version,
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": "FIELDS",
    }
    fields = '{"f:a":' * depth + "{}" + "}" * depth  # deeper than `json` goes
    patch = json.dumps({"metadata": {"managedFields": [entry]}}).replace('"FIELDS"', fields)
    person.patched(kind, name, patch)
