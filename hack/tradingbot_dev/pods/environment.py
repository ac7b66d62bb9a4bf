"""The environment of a container, as the kubelet computes it. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from tradingbot_dev.pods.objects import (
    CONFIG_MAP,
    SECRET,
    MissingError,
    Objects,
    Reference,
    data_of,
    value_of,
)

JsonObject = dict[str, Any]

_EXPANSION = re.compile(r"\$(\$|\((?P<name>[^()]+)\))")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['(?P<key>[^']+)'\]")


def variables(
    pod: JsonObject, container: JsonObject, objects: Objects, *, given: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of a container. `given` are those that it has in any case.

    The order is Kubernetes': `given`, `envFrom`, `env`. `$(NAME)` in a value stands for a variable
    that is defined before it, `$$` for a dollar sign. Raises MissingError.
    """
    found = dict(given)
    for source in container.get("envFrom") or ():
        for field, kind in (("configMapRef", CONFIG_MAP), ("secretRef", SECRET)):
            if field in source:
                reference = Reference(kind, source[field]["name"])
                optional = bool(source[field].get("optional"))
                data = data_of(objects, reference, optional=optional)
                prefix = source.get("prefix", "")
                found |= {f"{prefix}{key}": _text(data[key], reference, key) for key in data}
    for variable in container.get("env") or ():
        if "valueFrom" in variable:
            value = _value_from(pod, variable["valueFrom"], objects)
            if value is not None:
                found[variable["name"]] = value
        else:
            found[variable["name"]] = expanded(variable.get("value", ""), found)
    return found


def expanded(text: str, known: Mapping[str, str]) -> str:
    """Replace each `$(NAME)` of a known variable, and `$$` by `$`. Others stay as they are."""

    def replaced(match: re.Match[str]) -> str:
        name = match["name"]
        return "$" if name is None else known.get(name, match[0])

    return _EXPANSION.sub(replaced, text)


def pod_field(pod: JsonObject, path: str) -> str:
    """Return a field of the downward API. Raises MissingError for one that is not supported."""
    if keyed := _KEYED.fullmatch(path):
        return str((pod["metadata"].get(keyed[1]) or {}).get(keyed["key"], ""))
    section, _, name = path.partition(".")
    supported = {
        "metadata": ("name", "namespace", "uid"),
        "spec": ("nodeName", "serviceAccountName"),
        "status": ("podIP", "hostIP"),
    }
    if name in supported.get(section, ()):
        return str(pod[section].get(name, ""))
    if path in ("metadata.labels", "metadata.annotations"):
        entries = sorted((pod["metadata"].get(name) or {}).items())
        return "\n".join(f'{key}="{_escaped(value)}"' for key, value in entries)
    if path in ("status.podIPs", "status.hostIPs"):
        return str(pod["status"].get(name.removesuffix("s"), ""))
    raise MissingError(f"fieldRef {path} is not supported for a pod that runs as a process")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _value_from(pod: JsonObject, source: JsonObject, objects: Objects) -> str | None:
    if "fieldRef" in source:
        return pod_field(pod, source["fieldRef"]["fieldPath"])
    for field, kind in (("configMapKeyRef", CONFIG_MAP), ("secretKeyRef", SECRET)):
        if field in source:
            found = source[field]
            reference = Reference(kind, found["name"])
            value = value_of(
                objects,
                reference,
                found["key"],
                optional=bool(found.get("optional")),
                namespace=pod["metadata"]["namespace"],
            )
            return None if value is None else _text(value, reference, found["key"])
    raise MissingError(
        f"valueFrom {', '.join(source)} is not supported for a pod that runs as a process"
    )


def _text(value: bytes, reference: Reference, key: str) -> str:
    """Return a value as a variable has it. The value itself is in no error: it may be a secret."""
    if b"\0" in value:
        raise MissingError(f"key {key} of {reference} has a NUL byte, and can't be a variable")
    return value.decode(errors="surrogateescape")
