"""The ConfigMaps and Secrets that a pod refers to, and how their keys are read."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

JsonObject = dict[str, Any]

CONFIG_MAP, SECRET = "ConfigMap", "Secret"
_SPOKEN = {CONFIG_MAP: "configmap", SECRET: "secret"}


class Reference(NamedTuple):
    """An object in the namespace of the pod."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f'{_SPOKEN[self.kind]} "{self.name}"'


Objects = Mapping[Reference, JsonObject | None]
"""The objects as they were read; None for one that does not exist."""


class MissingError(Exception):
    """An object or a key that a pod needs does not exist. The message is the kubelet's."""


def data_of(objects: Objects, reference: Reference, *, optional: bool) -> dict[str, bytes]:
    """Return the keys of an object with their values.

    Raises MissingError if the object does not exist, unless it is optional.
    """
    found = objects.get(reference)
    if found is None:
        if optional:
            return {}
        raise MissingError(f"{reference} not found")
    if reference.kind == SECRET:
        return {key: base64.b64decode(text) for key, text in (found.get("data") or {}).items()}
    texts = {key: text.encode() for key, text in (found.get("data") or {}).items()}
    binary = {key: base64.b64decode(text) for key, text in (found.get("binaryData") or {}).items()}
    return texts | binary


def value_of(
    objects: Objects, reference: Reference, key: str, *, optional: bool, namespace: str
) -> bytes | None:
    """Return the value of a key; None if it does not exist and is optional, else MissingError."""
    data = data_of(objects, reference, optional=optional)
    if key not in data and not optional:
        raise MissingError(
            f"couldn't find key {key} in {reference.kind} {namespace}/{reference.name}"
        )
    return data.get(key)


def environment_references(container: JsonObject) -> Iterable[Reference]:
    """Yield the objects that a container's variables refer to."""
    for source in container.get("envFrom") or ():
        for field, kind in (("configMapRef", CONFIG_MAP), ("secretRef", SECRET)):
            if field in source:
                yield Reference(kind, source[field]["name"])
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        for field, kind in (("configMapKeyRef", CONFIG_MAP), ("secretKeyRef", SECRET)):
            if field in source:
                yield Reference(kind, source[field]["name"])


def volume_references(pod: JsonObject) -> Iterable[Reference]:
    """Yield the objects whose keys are files in a pod's volumes."""
    for volume in pod["spec"].get("volumes") or ():
        for source in (volume, *(volume.get("projected") or {}).get("sources", ())):
            if "configMap" in source:
                yield Reference(CONFIG_MAP, source["configMap"]["name"])
            if "secret" in source:
                yield Reference(
                    SECRET, source["secret"].get("secretName") or source["secret"]["name"]
                )
