"""Generate the models of Kubernetes' own types that `spec.pod` takes over.

Their fields, types, list types and descriptions come from the OpenAPI document of the pinned
Kubernetes. `kubernetes-types.json` is the part of that document that is needed, so that `make
generate` works without it; a test compares it with what the API server publishes.

python -m codegen.kubernetes_types DOCUMENT   writes that part again, from the document at
                                              api/openapi-spec/v3/api__v1_openapi.json

The document leaves out what Kubernetes checks in code: choices, bounds and the forms of labels.
They are in the tables below. No list of Kubernetes is bounded; here each is, or a rule over it
would have no bounded cost.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_snake

JsonObject = dict[str, Any]

EXTRACT = Path(__file__).with_name("kubernetes-types.json")
TARGET = Path("api/tradingbot_api/kubernetes_types.py")
CORE = "io.k8s.api.core.v1."
WANTED = ("Affinity", "Toleration", "TopologySpreadConstraint")

_CHOICES = {
    "LabelSelectorRequirement.operator": ("In", "NotIn", "Exists", "DoesNotExist"),
    "NodeSelectorRequirement.operator": ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
    # Lt and Gt need a feature gate, and a pod that has them is refused without it.
    "Toleration.operator": ("Exists", "Equal"),
    "Toleration.effect": ("NoSchedule", "PreferNoSchedule", "NoExecute"),
    "TopologySpreadConstraint.whenUnsatisfiable": ("DoNotSchedule", "ScheduleAnyway"),
    "TopologySpreadConstraint.nodeAffinityPolicy": ("Honor", "Ignore"),
    "TopologySpreadConstraint.nodeTaintsPolicy": ("Honor", "Ignore"),
}
_BOUNDS = {
    "PreferredSchedulingTerm.weight": (1, 100),
    "WeightedPodAffinityTerm.weight": (1, 100),
    "TopologySpreadConstraint.maxSkew": (1, 2**31 - 1),
    "TopologySpreadConstraint.minDomains": (1, 2**31 - 1),
    "Toleration.tolerationSeconds": (-(2**31), 2**31 - 1),
}
_FORMS = {
    "LabelSelectorRequirement.key": "LabelKey",
    "LabelSelectorRequirement.values": "LabelValue",
    "LabelSelector.matchLabels": "LabelValue",
    "NodeSelectorRequirement.key": "LabelKey",
    "NodeSelectorRequirement.values": "NodeValue",
    "PodAffinityTerm.matchLabelKeys": "LabelKey",
    "PodAffinityTerm.mismatchLabelKeys": "LabelKey",
    "PodAffinityTerm.namespaces": "Namespace",
    "PodAffinityTerm.topologyKey": "LabelKey",
    "Toleration.key": "LabelKey",
    "Toleration.value": "LabelValue",
    "TopologySpreadConstraint.matchLabelKeys": "LabelKey",
    "TopologySpreadConstraint.topologyKey": "LabelKey",
}
_INSTEAD = {
    "Toleration.operator": "Operator represents a key's relationship to the value. Equal, the"
    " default, compares the value. Exists is equivalent to wildcard for value, so that a pod can"
    " tolerate all taints of a particular category.",
    # These draw pictures of nodes, which no line of `kubectl explain` keeps.
    "TopologySpreadConstraint.maxSkew": "MaxSkew describes the degree to which pods may be unevenly"
    " distributed. With whenUnsatisfiable DoNotSchedule it is the maximum permitted difference"
    " between the number of matching pods in the topology domain of the pod and the minimum number"
    " of matching pods in any eligible domain. With ScheduleAnyway it gives higher precedence to"
    " topologies that satisfy it. At least 1.",
    "TopologySpreadConstraint.minDomains": "MinDomains indicates a minimum number of eligible"
    " domains. If there are fewer, the minimum that maxSkew compares with is 0, so that no domain"
    " gets more than maxSkew pods. Greater than 0, and only with whenUnsatisfiable DoNotSchedule."
    " If unset: 1.",
    "TopologySpreadConstraint.whenUnsatisfiable": "WhenUnsatisfiable indicates how to deal with a"
    " pod that does not satisfy the spread constraint. DoNotSchedule tells the scheduler not to"
    " schedule it. ScheduleAnyway tells the scheduler to schedule the pod in any location, but with"
    " higher precedence for topologies that help to reduce the skew.",
}
_NOT_EMPTY = {"NodeSelector.nodeSelectorTerms"}
MOST_ITEMS = 50
_HEAD = '''\
# Generated from the OpenAPI document of Kubernetes by `make generate`; do not edit.
"""Kubernetes' own types of scheduling, as far as `spec.pod` takes them over."""

from typing import Annotated, Literal

from pydantic import Field

from tradingbot_api.constraints import Kubernetes, NotNull, list_type
from tradingbot_api.labels import LabelKey, LabelValue, Namespace, NodeValue
from tradingbot_api.model import Model

_ATOMIC = Kubernetes((("x-kubernetes-map-type", "atomic"),))
'''


def extract(document: JsonObject) -> JsonObject:
    """Return the schemas of WANTED and of all that they refer to, by their names."""
    schemas = document["components"]["schemas"]
    found: JsonObject = {}
    pending = [CORE + name for name in WANTED]
    while pending:
        name = pending.pop()
        if name not in found:
            found[name] = schemas[name]
            pending += _references(schemas[name])
    return dict(sorted(found.items()))


def module() -> str:
    """Return the source of the models, each after those that it refers to."""
    schemas: JsonObject = json.loads(EXTRACT.read_text("utf-8"))
    ordered: dict[str, None] = {}
    for name in WANTED:
        _in_order(CORE + name, schemas, ordered)
    classes = ["\n".join(_class(name, schemas[name])) + "\n" for name in ordered]
    return "\n\n".join([_HEAD, *classes])


def _in_order(name: str, schemas: JsonObject, ordered: dict[str, None]) -> None:
    for reference in sorted(_references(schemas[name])):
        _in_order(reference, schemas, ordered)
    ordered[name] = None


def _references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_references, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    found = set().union(*map(_references, schema.values())) if schema else set()
    return found | ({schema["$ref"].rsplit("/", 1)[1]} if "$ref" in schema else set())


def _short(name: str) -> str:
    return name.rsplit(".", 1)[1]


def _class(name: str, schema: JsonObject) -> Iterator[str]:
    yield f"class {_short(name)}(Model):"
    yield f'    """{_prose(schema["description"])}"""'
    yield ""
    required = schema.get("required", ())
    ordered = sorted(schema["properties"], key=lambda field: field not in required)
    for field in ordered:
        yield from _field(_short(name), field, schema["properties"][field], field in required)


def _field(owner: str, name: str, schema: JsonObject, required: bool) -> Iterator[str]:
    path = f"{owner}.{name}"
    python, metadata = _type(path, schema)
    if not required:
        python, metadata = f"{python} | None", ["NotNull()", *metadata]
    if metadata:
        python = f"Annotated[{', '.join([python, *metadata])}]"
    default = "" if required else "None, "
    yield f"    {to_snake(name)}: {python} = Field("
    description = _INSTEAD.get(path) or _prose(schema["description"])
    yield f"        {default}description={json.dumps(description)}"
    yield "    )"


def _type(path: str, schema: JsonObject) -> tuple[str, list[str]]:
    """Return the type of a field as Python source, and what is annotated to it."""
    if path in _CHOICES:
        return f"Literal[{', '.join(map(json.dumps, _CHOICES[path]))}]", []
    if "allOf" in schema:
        (part,) = schema["allOf"]
        name = _short(part["$ref"])
        return name, ["_ATOMIC"] if name in {"LabelSelector", "NodeSelector"} else []
    if schema["type"] == "integer":
        least, most = _BOUNDS[path]
        return "int", [f"Field(ge={least}, le={most})"]
    if schema["type"] == "array":
        items = schema["items"]
        inner = _short(items["$ref"]) if "$ref" in items else _FORMS[path]
        not_empty = "min_length=1, " if path in _NOT_EMPTY else ""
        bounds = f"Field({not_empty}max_length={MOST_ITEMS})"
        return f"list[{inner}]", [bounds, f'list_type("{schema["x-kubernetes-list-type"]}")']
    if schema["type"] == "object":
        return f"dict[str, {_FORMS[path]}]", [f"Field(max_length={MOST_ITEMS})"]
    return _FORMS[path], []


def _prose(description: str) -> str:
    """Return a description as one paragraph that ends with a full stop."""
    text = " ".join(description.split())
    return text if text.endswith(".") else f"{text}."


def main(arguments: list[str]) -> int:
    """Write the extract of the document that is named. Return the exit status."""
    (path,) = arguments
    found = extract(json.loads(Path(path).read_text("utf-8")))
    EXTRACT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
