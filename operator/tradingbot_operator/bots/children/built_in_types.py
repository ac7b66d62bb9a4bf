"""How the API server merges the fields of built-in types: its own schema, as a table.

`built_in_types.json` is generated from the OpenAPI documents of Kubernetes. Example:

    Container.volumeMounts    a list whose items are found by mountPath
    ServiceSpec.ports         a list whose items are found by port and protocol (TCP if unset)
    Capabilities.drop         an atomic list: replaced as a whole
    ResourceRequirements.limits   a map of quantities
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import from_json

_FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Field:
    """How one field is merged. A field that is not in the table is a scalar."""

    is_quantity: bool = False
    is_atomic: bool = False
    is_map: bool = False
    keys: tuple[str, ...] | None = None
    """The keys by which the items of a list are found; () for a set, None for an atomic list."""
    key_defaults: Mapping[str, Any] = field(default_factory=dict)
    type: str | None = None
    """The type of the field, or of its items."""
    values: "Field | None" = None
    """The values of a map, or the items of a list, that are not of a type in the table."""

    def child(self, name: str) -> "Field":
        """Return the field `name` of a struct, or the value of that key in a map."""
        if self.type is not None:
            return _TYPES.get(self.type, {}).get(name, UNKNOWN)
        return self.values or UNKNOWN

    @property
    def item(self) -> "Field":
        """Return the items of a list, as a field."""
        return Field(type=self.type) if self.type is not None else self.values or UNKNOWN

    def key_of(self, item: Any) -> tuple[Any, ...]:
        """Return the values of the keys of an item, with their defaults."""
        found = item if isinstance(item, dict) else {}
        return tuple(found.get(key, self.key_defaults.get(key)) for key in self.keys or ())


UNKNOWN = Field()


def _field(described: Mapping[str, Any]) -> Field:
    keys, values = described.get("keys"), described.get("values")
    return Field(
        is_quantity=described["is"] == "quantity",
        is_atomic=described["is"] == "atomic",
        is_map=described["is"] == "map",
        keys=None if keys is None else tuple(keys),
        key_defaults=described.get("defaults", {}),
        type=described.get("type"),
        values=None if values is None else _field(values),
    )


def _load() -> tuple[dict[str, Field], dict[str, dict[str, Field]]]:
    table = from_json(_FILE.read_bytes())
    kinds = {kind: Field(type=name) for kind, name in table["kinds"].items()}
    types = {
        name: {key: _field(described) for key, described in fields.items()}
        for name, fields in table["types"].items()
    }
    return kinds, types


_KINDS, _TYPES = _load()

POD_TEMPLATE = Field(type="io.k8s.api.core.v1.PodTemplateSpec")


def of_kind(kind: str) -> Field:
    """Return the objects of a kind, as a field."""
    return _KINDS.get(kind, UNKNOWN)


def at(kind: str, path: str) -> Field:
    """Return the field of a kind at a path such as `spec.template.spec.containers[].ports`."""
    found = of_kind(kind)
    for step in path.split("."):
        found = found.child(step.removesuffix("[]"))
        if step.endswith("[]"):
            found = found.item
    return found
