"""What Kubernetes checks in code about its own scheduling types, and so no schema states.

The words follow `k8s.io/kubernetes/pkg/apis/core/validation`. Without these rules a mistake would
be found only by the operator, when the API server refuses the Deployment.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from tradingbot_api.errors import FieldError, MapKey, Path
from tradingbot_api.kubernetes_types import (
    LabelSelector,
    LabelSelectorRequirement,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    Toleration,
    TopologySpreadConstraint,
)
from tradingbot_api.labels import label_key_problem, label_value_problem
from tradingbot_api.rules.findings import Finding, ItemRule, Rule, duplicates, paths
from tradingbot_api.tradingbot import TradingBotSpec

POD: Path = ("spec", "pod")
AFFINITY: Path = (*POD, "affinity")
SPREAD: Path = (*POD, "topologySpreadConstraints")
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NODE_FIELD = "metadata.name"


def label_key(where: Path, _value: object, _: datetime) -> Iterator[Finding]:
    """Require a valid label key."""
    yield from _label_key(where)


def _label_key(where: Path) -> Iterator[Finding]:
    key = str(where[-1])
    if (problem := label_key_problem(key)) is not None:
        yield FieldError.invalid(where, key, problem)


def toleration(where: Path, found: Toleration, _: datetime) -> Iterator[Finding]:
    """Require that a toleration matches by its key, or everything."""
    if not found.key and found.operator != "Exists":
        yield FieldError.invalid(
            (*where, "operator"),
            found.operator or "",
            "must be Exists when key is empty, which means all keys and values",
        )
    if found.operator == "Exists" and found.value:
        yield FieldError.invalid(
            (*where, "value"), found.value, "must be empty when operator is Exists"
        )
    if found.toleration_seconds is not None and found.effect != "NoExecute":
        yield FieldError.invalid(
            (*where, "effect"),
            found.effect or "",
            "must be NoExecute when tolerationSeconds is set",
        )


def spread_constraint(
    where: Path, found: TopologySpreadConstraint, _: datetime
) -> Iterator[Finding]:
    """Require a selector, and DoNotSchedule for minDomains."""
    if found.min_domains is not None and found.when_unsatisfiable != "DoNotSchedule":
        yield FieldError.invalid(
            (*where, "minDomains"),
            found.min_domains,
            "can only be set when whenUnsatisfiable is DoNotSchedule",
        )
    yield from _selector((*where, "labelSelector"), found.label_selector)
    yield from _label_keys(where, found.label_selector, found.match_label_keys)


def distinct_spread_constraints(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """No two constraints are of the same key and kind."""
    pairs = [
        f"{constraint.topology_key}, {constraint.when_unsatisfiable}"
        for constraint in (spec.pod and spec.pod.topology_spread_constraints) or ()
    ]
    yield from duplicates(pairs, lambda index: (*SPREAD, index))


def node_affinity(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Each requirement has the values that its operator takes."""
    affinity = spec.pod and spec.pod.affinity and spec.pod.affinity.node_affinity
    if not affinity:
        return
    path = (*AFFINITY, "nodeAffinity")
    required = affinity.required_during_scheduling_ignored_during_execution
    for index, term in enumerate(required.node_selector_terms if required else ()):
        yield from _node_term((*path, REQUIRED, "nodeSelectorTerms", index), term)
    for index, weighted in enumerate(
        affinity.preferred_during_scheduling_ignored_during_execution or ()
    ):
        yield from _node_term((*path, PREFERRED, index, "preference"), weighted.preference)


def pod_affinity(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Each term selects pods by a sound selector."""
    affinity = spec.pod and spec.pod.affinity and spec.pod.affinity.pod_affinity
    yield from _pod_terms((*AFFINITY, "podAffinity"), affinity or None)


def pod_anti_affinity(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Each term selects pods by a sound selector."""
    affinity = spec.pod and spec.pod.affinity and spec.pod.affinity.pod_anti_affinity
    yield from _pod_terms((*AFFINITY, "podAntiAffinity"), affinity or None)


def _pod_terms(path: Path, affinity: PodAffinity | PodAntiAffinity | None) -> Iterator[Finding]:
    if affinity is None:
        return
    for index, term in enumerate(
        affinity.required_during_scheduling_ignored_during_execution or ()
    ):
        yield from _pod_term((*path, REQUIRED, index), term)
    for index, weighted in enumerate(
        affinity.preferred_during_scheduling_ignored_during_execution or ()
    ):
        yield from _pod_term(
            (*path, PREFERRED, index, "podAffinityTerm"), weighted.pod_affinity_term
        )


def _pod_term(path: Path, term: PodAffinityTerm) -> Iterator[Finding]:
    yield from _selector((*path, "labelSelector"), term.label_selector)
    yield from _selector((*path, "namespaceSelector"), term.namespace_selector)
    yield from _label_keys(
        path, term.label_selector, term.match_label_keys, term.mismatch_label_keys
    )


def _node_term(path: Path, term: NodeSelectorTerm) -> Iterator[Finding]:
    for index, requirement in enumerate(term.match_expressions or ()):
        yield from _node_requirement((*path, "matchExpressions", index), requirement)
    for index, requirement in enumerate(term.match_fields or ()):
        yield from _field_requirement((*path, "matchFields", index), requirement)


def _node_requirement(path: Path, requirement: NodeSelectorRequirement) -> Iterator[Finding]:
    values = requirement.values or []
    yield from _operands(path, requirement)
    if requirement.operator in {"Gt", "Lt"}:
        if len(values) != 1 or not values[0].removeprefix("-").isdecimal():
            yield FieldError.required(
                (*path, "values"), "must be one whole number when operator is Gt or Lt"
            )
        return
    for index, value in enumerate(values):
        problem = label_value_problem(value)
        if problem is not None:
            yield FieldError.invalid((*path, "values", index), value, problem)


def _field_requirement(path: Path, requirement: NodeSelectorRequirement) -> Iterator[Finding]:
    if requirement.key != _NODE_FIELD:
        yield FieldError.not_supported((*path, "key"), requirement.key, (_NODE_FIELD,))
    if requirement.operator not in {"In", "NotIn"}:
        yield FieldError.not_supported((*path, "operator"), requirement.operator, ("In", "NotIn"))
    elif len(requirement.values or ()) != 1:
        yield FieldError.required(
            (*path, "values"), "must be one name of a node when operator is In or NotIn"
        )


def _operands(
    path: Path, requirement: NodeSelectorRequirement | LabelSelectorRequirement
) -> Iterator[Finding]:
    if requirement.operator in {"In", "NotIn"} and not requirement.values:
        yield FieldError.required(
            (*path, "values"), "must be specified when operator is In or NotIn"
        )
    if requirement.operator in {"Exists", "DoesNotExist"} and requirement.values:
        yield FieldError.forbidden(
            (*path, "values"), "may not be specified when operator is Exists or DoesNotExist"
        )


def _selector(path: Path, selector: LabelSelector | None) -> Iterator[Finding]:
    if selector is None:
        return
    for key in selector.match_labels or ():
        yield from _label_key((*path, "matchLabels", MapKey(key)))
    for index, requirement in enumerate(selector.match_expressions or ()):
        yield from _operands((*path, "matchExpressions", index), requirement)


def _label_keys(
    path: Path,
    selector: LabelSelector | None,
    match: Sequence[str] | None,
    mismatch: Sequence[str] | None = None,
) -> Iterator[Finding]:
    """Check keys whose values come from the pod's labels, and are added to a selector."""
    for name, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        if keys and selector is None:
            yield FieldError.forbidden((*path, name), "may not be specified without labelSelector")
    selected = {*((selector and selector.match_labels) or ())}
    selected |= {found.key for found in (selector and selector.match_expressions) or ()}
    for index, key in enumerate(match or ()):
        where = (*path, "matchLabelKeys", index)
        if key in selected:
            yield FieldError.invalid(where, key, "exists in both matchLabelKeys and labelSelector")
        if key in (mismatch or ()):
            yield FieldError.invalid(
                where, key, "exists in both matchLabelKeys and mismatchLabelKeys"
            )


RULES = (
    ItemRule((*POD, "nodeSelector"), label_key),
    ItemRule((*POD, "tolerations"), toleration),
    ItemRule(SPREAD, spread_constraint),
    Rule(paths("pod.topologySpreadConstraints"), distinct_spread_constraints),
    Rule(paths("pod.affinity.nodeAffinity"), node_affinity),
    Rule(paths("pod.affinity.podAffinity"), pod_affinity),
    Rule(paths("pod.affinity.podAntiAffinity"), pod_anti_affinity),
)
