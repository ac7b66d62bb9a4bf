"""The CustomResourceDefinitions, generated from the models.

pydantic's JSON schema is nearly the structural schema that Kubernetes wants; what remains is to
put references in place, and to drop what Kubernetes refuses (`title`, `additionalProperties:
false`, `const`).
"""

from typing import cast

from tradingbot_api import API_VERSION, GROUP, VERSION
from tradingbot_api.assetregistry import AssetRegistry
from tradingbot_api.constraints import FORMS
from tradingbot_api.model import JsonObject, Model
from tradingbot_api.tradingbot import TradingBot

_KEPT = frozenset(
    {
        "anyOf",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "required",
        "type",
    }
)


def crds() -> list[JsonObject]:
    """Return the manifests of all kinds, as `kubectl apply` takes them."""
    return [_crd(TradingBot), _crd(AssetRegistry)]


def _crd(model: type[TradingBot] | type[AssetRegistry]) -> JsonObject:
    kind = model.__name__
    names = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": model.plural,
        "singular": kind.lower(),
        "shortNames": list(model.short_names),
        "categories": ["trading"],
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [dict(column) for column in model.printer_columns],
        "schema": {"openAPIV3Schema": structural_schema(model)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{model.plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def structural_schema(model: type[TradingBot] | type[AssetRegistry]) -> JsonObject:
    """Return the structural OpenAPI schema of a kind."""
    generated = model.model_json_schema(by_alias=True, mode="validation")
    body = _structural(generated, generated.get("$defs", {}))
    properties = {
        "apiVersion": {"type": "string", "description": f"Version of the schema: {API_VERSION}."},
        "kind": {"type": "string", "description": f"Kind of the resource: {model.__name__}."},
        "metadata": {"type": "object"},
        **body["properties"],
    }
    return {
        "type": "object",
        "description": _docstring(model),
        "required": ["spec"],
        "properties": properties,
        **dict(model.extensions.extensions),
    }


def _structural(schema: JsonObject, definitions: JsonObject) -> JsonObject:
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[1]]
        return _structural(
            {**target, **{k: v for k, v in schema.items() if k != "$ref"}}, definitions
        )
    kept = {
        key: value
        for key, value in schema.items()
        if key in _KEPT or key.startswith("x-kubernetes-")
    }
    if "properties" in schema:
        kept["properties"] = {
            name: _structural(inner, definitions) for name, inner in schema["properties"].items()
        }
    if "items" in kept:
        kept["items"] = _structural(kept["items"], definitions)
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        kept["additionalProperties"] = _structural(values, definitions)
    if FORMS in schema:
        kept["description"] = " ".join(filter(None, (kept.get("description"), schema[FORMS])))
    default = kept.get("default")
    if "default" in kept and default is None:
        del kept["default"]
    elif isinstance(default, dict):
        kept["default"] = {}
    elif isinstance(default, str | int) and default != "":
        kept["description"] = _with_default(kept["description"], default)
    return kept


def _with_default(description: str, default: str | int) -> str:
    """Return the description with the default, which `kubectl explain` does not show."""
    shown = str(default).lower() if isinstance(default, bool) else default
    return description if "Default:" in description else f"{description} Default: {shown}."


def _docstring(model: type[Model]) -> str:
    return " ".join(cast("str", model.__doc__).split())
