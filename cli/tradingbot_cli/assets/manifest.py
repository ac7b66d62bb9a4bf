"""Assets in files, checked against the models of the API before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError
from tradingbot_api.asset import (
    MAX_DESCRIPTION,
    MAX_TAGS,
    REFERENCE_LENGTH,
    REFERENCE_PATTERN,
    AssetStatus,
    AssetType,
    config_problems,
)
from tradingbot_api.assetregistry import SecretRef, Tag
from tradingbot_api.constraints import Text
from tradingbot_api.model import JsonObject, Model
from tradingbot_registry.inventory.record import MAX_NAME, is_plain_name

from tradingbot_cli.errors import ManifestError
from tradingbot_cli.manifests import Document, Node, Path, Spot, documents

_ID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_IGNORED = frozenset(
    {"effectiveStatus", "causedBy", "moreCauses", "unresolved", "version", "createdAt"}
    | {"updatedAt", "managedBy"}
)
"""Fields of an answer that the registry computes: what `get -o yaml` prints can be applied."""


_NO_TARGET = (
    "needs an externalRef, such as team/NAMESPACE/NAME, or an id: by its name an asset would be"
    " created again each time"
)


def _plain(name: str) -> str:
    if not is_plain_name(name):
        raise ValueError("may not begin or end with white space or contain control characters")
    return name


class AssetManifest(Model):
    """An asset as a file has it."""

    id: Annotated[str | None, Field(pattern=f"^{_ID}$")] = None
    external_ref: Annotated[
        str | None, Field(pattern=f"^{REFERENCE_PATTERN}$", max_length=REFERENCE_LENGTH)
    ] = None
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_plain)]
    type: Annotated[AssetType, Field(strict=False)]
    status: Annotated[AssetStatus | None, Field(strict=False)] = None
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION)] = ""
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS)] = Field([])
    config: JsonObject = Field({})
    secret_ref: SecretRef | None = None
    depends_on: list[
        Annotated[
            str,
            Text(
                "must be the id of an asset or a reference SOURCE/NAMESPACE/NAME",
                pattern=f"^({_ID}|{REFERENCE_PATTERN})$",
                max_length=REFERENCE_LENGTH,
            ),
        ]
    ] = Field([])

    @property
    def target(self) -> str:
        """What the asset is found by."""
        return self.external_ref or self.id or ""

    def body(self) -> JsonObject:
        """Return what is sent: without a status, the asset keeps its own."""
        sent = self.model_dump(mode="json", by_alias=True, exclude={"id", "external_ref"})
        if self.status is None:
            del sent["status"]
        return sent


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in a file."""

    file: str
    at: Spot
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.at.line}:{self.at.column}" if self.at.line else self.file
        return f"{place}: {self.message}"


def read(file: str, content: bytes) -> tuple[list[AssetManifest], list[Mistake]]:
    """Return the assets of a file, and every mistake in it."""
    found: list[AssetManifest] = []
    mistakes: list[Mistake] = []
    try:
        for document in documents(content):
            for path, node in _items(document.root):
                asset, wrong = _asset(document, path, node)
                mistakes += [Mistake(file, at, message) for at, message in wrong]
                found += [asset] if asset else []
    except ManifestError as error:
        mistakes.append(Mistake(file, Spot(error.line, error.column), str(error)))
    if not found and not mistakes:
        mistakes.append(Mistake(file, Spot(0, 0), "has no assets"))
    return found, mistakes


def _items(root: Node) -> Iterator[tuple[Path, Node]]:
    """Yield the assets of a document: itself, the items of a list, or those below `items`."""
    if isinstance(root.value, list):
        yield from (((index,), node) for index, node in root.inside.items())
    elif isinstance(root.value, dict) and isinstance(root.value.get("items"), list):
        yield from ((("items", index), node) for index, node in root.inside["items"].inside.items())
    else:
        yield (), root


def _asset(
    document: Document, path: Path, node: Node
) -> tuple[AssetManifest | None, list[tuple[Spot, str]]]:
    if not isinstance(node.value, dict):
        return None, [(node.at, "an asset must be a mapping")]
    if {"kind", "apiVersion"} & node.value.keys():
        return None, [(node.at, "is an object of Kubernetes: use kubectl apply")]
    fields = {key: value for key, value in node.value.items() if key not in _IGNORED}
    try:
        asset = AssetManifest.model_validate(fields)
    except ValidationError as error:
        return None, [
            (_spot(document, (*path, *detail["loc"])), _text(detail))
            for detail in error.errors(include_url=False, include_input=False)
        ]
    wrong = [
        (
            _spot(document, (*path, "config", *problem.pointer)),
            f"{_pointer(('config', *problem.pointer))}: {problem.message}",
        )
        for problem in config_problems(asset.type, asset.config)
        if problem.certain
    ]
    if not asset.target:
        wrong.append((node.at, _NO_TARGET))
    return asset, wrong


def _spot(document: Document, path: tuple[Any, ...]) -> Spot:
    node, key, _ = document.find(path)
    return key or node.at


def _text(detail: Any) -> str:
    return f"{_pointer(detail['loc'])}: {detail['msg'].removeprefix('Value error, ')}"


def _pointer(steps: tuple[Any, ...]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def in_order(assets: list[AssetManifest]) -> list[AssetManifest]:
    """Return the assets with each behind those that it depends on.

    An asset can't be Active before what it needs is there. Of a cycle, which the registry refuses,
    the order is that of the files.
    """
    by_target = {asset.target: asset for asset in assets}
    needs = {
        target: [need for need in asset.depends_on if need in by_target]
        for target, asset in by_target.items()
    }
    try:
        return [by_target[target] for target in TopologicalSorter(needs).static_order()]
    except CycleError:
        return assets
