# Generated from the OpenAPI document of Kubernetes by `make generate`; do not edit.
"""Kubernetes' own types of scheduling, as far as `spec.pod` takes them over."""

from typing import Annotated, Literal

from pydantic import Field

from tradingbot_api.constraints import Kubernetes, NotNull, list_type
from tradingbot_api.labels import LabelKey, LabelValue, Namespace, NodeValue
from tradingbot_api.model import Model

_ATOMIC = Kubernetes((("x-kubernetes-map-type", "atomic"),))


class NodeSelectorRequirement(Model):
    """A node selector requirement is a selector that contains values, a key, and an operator that relates the key and values."""

    key: LabelKey = Field(
        description="The label key that the selector applies to."
    )
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(
        description="Represents a key's relationship to a set of values. Valid operators are In, NotIn, Exists, DoesNotExist. Gt, and Lt."
    )
    values: Annotated[list[NodeValue] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="An array of string values. If the operator is In or NotIn, the values array must be non-empty. If the operator is Exists or DoesNotExist, the values array must be empty. If the operator is Gt or Lt, the values array must have a single element, which will be interpreted as an integer. This array is replaced during a strategic merge patch."
    )


class NodeSelectorTerm(Model):
    """A null or empty node selector term matches no objects. The requirements of them are ANDed. The TopologySelectorTerm type implements a subset of the NodeSelectorTerm."""

    match_expressions: Annotated[list[NodeSelectorRequirement] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="A list of node selector requirements by node's labels."
    )
    match_fields: Annotated[list[NodeSelectorRequirement] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="A list of node selector requirements by node's fields."
    )


class NodeSelector(Model):
    """A node selector represents the union of the results of one or more label queries over a set of nodes; that is, it represents the OR of the selectors represented by the node selector terms."""

    node_selector_terms: Annotated[list[NodeSelectorTerm], Field(min_length=1, max_length=50), list_type("atomic")] = Field(
        description="Required. A list of node selector terms. The terms are ORed."
    )


class PreferredSchedulingTerm(Model):
    """An empty preferred scheduling term matches all objects with implicit weight 0 (i.e. it's a no-op). A null preferred scheduling term matches no objects (i.e. is also a no-op)."""

    preference: NodeSelectorTerm = Field(
        description="A node selector term, associated with the corresponding weight."
    )
    weight: Annotated[int, Field(ge=1, le=100)] = Field(
        description="Weight associated with matching the corresponding nodeSelectorTerm, in the range 1-100."
    )


class NodeAffinity(Model):
    """Node affinity is a group of node affinity scheduling rules."""

    preferred_during_scheduling_ignored_during_execution: Annotated[list[PreferredSchedulingTerm] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="The scheduler will prefer to schedule pods to nodes that satisfy the affinity expressions specified by this field, but it may choose a node that violates one or more of the expressions. The node that is most preferred is the one with the greatest sum of weights, i.e. for each node that meets all of the scheduling requirements (resource request, requiredDuringScheduling affinity expressions, etc.), compute a sum by iterating through the elements of this field and adding \"weight\" to the sum if the node matches the corresponding matchExpressions; the node(s) with the highest sum are the most preferred."
    )
    required_during_scheduling_ignored_during_execution: Annotated[NodeSelector | None, NotNull(), _ATOMIC] = Field(
        None, description="If the affinity requirements specified by this field are not met at scheduling time, the pod will not be scheduled onto the node. If the affinity requirements specified by this field cease to be met at some point during pod execution (e.g. due to an update), the system may or may not try to eventually evict the pod from its node."
    )


class LabelSelectorRequirement(Model):
    """A label selector requirement is a selector that contains values, a key, and an operator that relates the key and values."""

    key: LabelKey = Field(
        description="key is the label key that the selector applies to."
    )
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="operator represents a key's relationship to a set of values. Valid operators are In, NotIn, Exists and DoesNotExist."
    )
    values: Annotated[list[LabelValue] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="values is an array of string values. If the operator is In or NotIn, the values array must be non-empty. If the operator is Exists or DoesNotExist, the values array must be empty. This array is replaced during a strategic merge patch."
    )


class LabelSelector(Model):
    """A label selector is a label query over a set of resources. The result of matchLabels and matchExpressions are ANDed. An empty label selector matches all objects. A null label selector matches no objects."""

    match_expressions: Annotated[list[LabelSelectorRequirement] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="matchExpressions is a list of label selector requirements. The requirements are ANDed."
    )
    match_labels: Annotated[dict[str, LabelValue] | None, NotNull(), Field(max_length=50)] = Field(
        None, description="matchLabels is a map of {key,value} pairs. A single {key,value} in the matchLabels map is equivalent to an element of matchExpressions, whose key field is \"key\", the operator is \"In\", and the values array contains only \"value\". The requirements are ANDed."
    )


class PodAffinityTerm(Model):
    """Defines a set of pods (namely those matching the labelSelector relative to the given namespace(s)) that this pod should be co-located (affinity) or not co-located (anti-affinity) with, where co-located is defined as running on a node whose value of the label with key <topologyKey> matches that of any node on which a pod of the set of pods is running."""

    topology_key: LabelKey = Field(
        description="This pod should be co-located (affinity) or not co-located (anti-affinity) with the pods matching the labelSelector in the specified namespaces, where co-located is defined as running on a node whose value of the label with key topologyKey matches that of any node on which any of the selected pods is running. Empty topologyKey is not allowed."
    )
    label_selector: Annotated[LabelSelector | None, NotNull(), _ATOMIC] = Field(
        None, description="A label query over a set of resources, in this case pods. If it's null, this PodAffinityTerm matches with no Pods."
    )
    match_label_keys: Annotated[list[LabelKey] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="MatchLabelKeys is a set of pod label keys to select which pods will be taken into consideration. The keys are used to lookup values from the incoming pod labels, those key-value labels are merged with `labelSelector` as `key in (value)` to select the group of existing pods which pods will be taken into consideration for the incoming pod's pod (anti) affinity. Keys that don't exist in the incoming pod labels will be ignored. The default value is empty. The same key is forbidden to exist in both matchLabelKeys and labelSelector. Also, matchLabelKeys cannot be set when labelSelector isn't set."
    )
    mismatch_label_keys: Annotated[list[LabelKey] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="MismatchLabelKeys is a set of pod label keys to select which pods will be taken into consideration. The keys are used to lookup values from the incoming pod labels, those key-value labels are merged with `labelSelector` as `key notin (value)` to select the group of existing pods which pods will be taken into consideration for the incoming pod's pod (anti) affinity. Keys that don't exist in the incoming pod labels will be ignored. The default value is empty. The same key is forbidden to exist in both mismatchLabelKeys and labelSelector. Also, mismatchLabelKeys cannot be set when labelSelector isn't set."
    )
    namespace_selector: Annotated[LabelSelector | None, NotNull(), _ATOMIC] = Field(
        None, description="A label query over the set of namespaces that the term applies to. The term is applied to the union of the namespaces selected by this field and the ones listed in the namespaces field. null selector and null or empty namespaces list means \"this pod's namespace\". An empty selector ({}) matches all namespaces."
    )
    namespaces: Annotated[list[Namespace] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="namespaces specifies a static list of namespace names that the term applies to. The term is applied to the union of the namespaces listed in this field and the ones selected by namespaceSelector. null or empty namespaces list and null namespaceSelector means \"this pod's namespace\"."
    )


class WeightedPodAffinityTerm(Model):
    """The weights of all of the matched WeightedPodAffinityTerm fields are added per-node to find the most preferred node(s)."""

    pod_affinity_term: PodAffinityTerm = Field(
        description="Required. A pod affinity term, associated with the corresponding weight."
    )
    weight: Annotated[int, Field(ge=1, le=100)] = Field(
        description="weight associated with matching the corresponding podAffinityTerm, in the range 1-100."
    )


class PodAffinity(Model):
    """Pod affinity is a group of inter pod affinity scheduling rules."""

    preferred_during_scheduling_ignored_during_execution: Annotated[list[WeightedPodAffinityTerm] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="The scheduler will prefer to schedule pods to nodes that satisfy the affinity expressions specified by this field, but it may choose a node that violates one or more of the expressions. The node that is most preferred is the one with the greatest sum of weights, i.e. for each node that meets all of the scheduling requirements (resource request, requiredDuringScheduling affinity expressions, etc.), compute a sum by iterating through the elements of this field and adding \"weight\" to the sum if the node has pods which matches the corresponding podAffinityTerm; the node(s) with the highest sum are the most preferred."
    )
    required_during_scheduling_ignored_during_execution: Annotated[list[PodAffinityTerm] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="If the affinity requirements specified by this field are not met at scheduling time, the pod will not be scheduled onto the node. If the affinity requirements specified by this field cease to be met at some point during pod execution (e.g. due to a pod label update), the system may or may not try to eventually evict the pod from its node. When there are multiple elements, the lists of nodes corresponding to each podAffinityTerm are intersected, i.e. all terms must be satisfied."
    )


class PodAntiAffinity(Model):
    """Pod anti affinity is a group of inter pod anti affinity scheduling rules."""

    preferred_during_scheduling_ignored_during_execution: Annotated[list[WeightedPodAffinityTerm] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="The scheduler will prefer to schedule pods to nodes that satisfy the anti-affinity expressions specified by this field, but it may choose a node that violates one or more of the expressions. The node that is most preferred is the one with the greatest sum of weights, i.e. for each node that meets all of the scheduling requirements (resource request, requiredDuringScheduling anti-affinity expressions, etc.), compute a sum by iterating through the elements of this field and subtracting \"weight\" from the sum if the node has pods which matches the corresponding podAffinityTerm; the node(s) with the highest sum are the most preferred."
    )
    required_during_scheduling_ignored_during_execution: Annotated[list[PodAffinityTerm] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="If the anti-affinity requirements specified by this field are not met at scheduling time, the pod will not be scheduled onto the node. If the anti-affinity requirements specified by this field cease to be met at some point during pod execution (e.g. due to a pod label update), the system may or may not try to eventually evict the pod from its node. When there are multiple elements, the lists of nodes corresponding to each podAffinityTerm are intersected, i.e. all terms must be satisfied."
    )


class Affinity(Model):
    """Affinity is a group of affinity scheduling rules."""

    node_affinity: Annotated[NodeAffinity | None, NotNull()] = Field(
        None, description="Describes node affinity scheduling rules for the pod."
    )
    pod_affinity: Annotated[PodAffinity | None, NotNull()] = Field(
        None, description="Describes pod affinity scheduling rules (e.g. co-locate this pod in the same node, zone, etc. as some other pod(s))."
    )
    pod_anti_affinity: Annotated[PodAntiAffinity | None, NotNull()] = Field(
        None, description="Describes pod anti-affinity scheduling rules (e.g. avoid putting this pod in the same node, zone, etc. as some other pod(s))."
    )


class Toleration(Model):
    """The pod this Toleration is attached to tolerates any taint that matches the triple <key,value,effect> using the matching operator <operator>."""

    effect: Annotated[Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None, NotNull()] = Field(
        None, description="Effect indicates the taint effect to match. Empty means match all taint effects. When specified, allowed values are NoSchedule, PreferNoSchedule and NoExecute."
    )
    key: Annotated[LabelKey | None, NotNull()] = Field(
        None, description="Key is the taint key that the toleration applies to. Empty means match all taint keys. If the key is empty, operator must be Exists; this combination means to match all values and all keys."
    )
    operator: Annotated[Literal["Exists", "Equal"] | None, NotNull()] = Field(
        None, description="Operator represents a key's relationship to the value. Equal, the default, compares the value. Exists is equivalent to wildcard for value, so that a pod can tolerate all taints of a particular category."
    )
    toleration_seconds: Annotated[int | None, NotNull(), Field(ge=-2147483648, le=2147483647)] = Field(
        None, description="TolerationSeconds represents the period of time the toleration (which must be of effect NoExecute, otherwise this field is ignored) tolerates the taint. By default, it is not set, which means tolerate the taint forever (do not evict). Zero and negative values will be treated as 0 (evict immediately) by the system."
    )
    value: Annotated[LabelValue | None, NotNull()] = Field(
        None, description="Value is the taint value the toleration matches to. If the operator is Exists, the value should be empty, otherwise just a regular string."
    )


class TopologySpreadConstraint(Model):
    """TopologySpreadConstraint specifies how to spread matching pods among the given topology."""

    max_skew: Annotated[int, Field(ge=1, le=2147483647)] = Field(
        description="MaxSkew describes the degree to which pods may be unevenly distributed. With whenUnsatisfiable DoNotSchedule it is the maximum permitted difference between the number of matching pods in the topology domain of the pod and the minimum number of matching pods in any eligible domain. With ScheduleAnyway it gives higher precedence to topologies that satisfy it. At least 1."
    )
    topology_key: LabelKey = Field(
        description="TopologyKey is the key of node labels. Nodes that have a label with this key and identical values are considered to be in the same topology. We consider each <key, value> as a \"bucket\", and try to put balanced number of pods into each bucket. We define a domain as a particular instance of a topology. Also, we define an eligible domain as a domain whose nodes meet the requirements of nodeAffinityPolicy and nodeTaintsPolicy. e.g. If TopologyKey is \"kubernetes.io/hostname\", each Node is a domain of that topology. And, if TopologyKey is \"topology.kubernetes.io/zone\", each zone is a domain of that topology. It's a required field."
    )
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        description="WhenUnsatisfiable indicates how to deal with a pod that does not satisfy the spread constraint. DoNotSchedule tells the scheduler not to schedule it. ScheduleAnyway tells the scheduler to schedule the pod in any location, but with higher precedence for topologies that help to reduce the skew."
    )
    label_selector: Annotated[LabelSelector | None, NotNull(), _ATOMIC] = Field(
        None, description="LabelSelector is used to find matching pods. Pods that match this label selector are counted to determine the number of pods in their corresponding topology domain."
    )
    match_label_keys: Annotated[list[LabelKey] | None, NotNull(), Field(max_length=50), list_type("atomic")] = Field(
        None, description="MatchLabelKeys is a set of pod label keys to select the pods over which spreading will be calculated. The keys are used to lookup values from the incoming pod labels, those key-value labels are ANDed with labelSelector to select the group of existing pods over which spreading will be calculated for the incoming pod. The same key is forbidden to exist in both MatchLabelKeys and LabelSelector. MatchLabelKeys cannot be set when LabelSelector isn't set. Keys that don't exist in the incoming pod labels will be ignored. A null or empty list means only match against labelSelector. This is a beta field and requires the MatchLabelKeysInPodTopologySpread feature gate to be enabled (enabled by default)."
    )
    min_domains: Annotated[int | None, NotNull(), Field(ge=1, le=2147483647)] = Field(
        None, description="MinDomains indicates a minimum number of eligible domains. If there are fewer, the minimum that maxSkew compares with is 0, so that no domain gets more than maxSkew pods. Greater than 0, and only with whenUnsatisfiable DoNotSchedule. If unset: 1."
    )
    node_affinity_policy: Annotated[Literal["Honor", "Ignore"] | None, NotNull()] = Field(
        None, description="NodeAffinityPolicy indicates how we will treat Pod's nodeAffinity/nodeSelector when calculating pod topology spread skew. Options are: - Honor: only nodes matching nodeAffinity/nodeSelector are included in the calculations. - Ignore: nodeAffinity/nodeSelector are ignored. All nodes are included in the calculations. If this value is nil, the behavior is equivalent to the Honor policy."
    )
    node_taints_policy: Annotated[Literal["Honor", "Ignore"] | None, NotNull()] = Field(
        None, description="NodeTaintsPolicy indicates how we will treat node taints when calculating pod topology spread skew. Options are: - Honor: nodes without taints, along with tainted nodes for which the incoming pod has a toleration, are included. - Ignore: node taints are ignored. All nodes are included. If this value is nil, the behavior is equivalent to the Ignore policy."
    )
