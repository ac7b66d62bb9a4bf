"""The rules for undeclared fields of a bot's children: which are drift, which are left alone, why.

Server-side apply removes only fields that its own manager owns, so a field that somebody else adds
stays unless the operator removes it with another patch (`drift.corrections`). A field is removed if
it redirects or exposes the bot, makes a pod run that is not the declared one, hides a pod that
trades, or makes the API server refuse the declared fields. All else is left alone, and listed by
`foreign_fields`. Example: somebody adds to the Service of a bot

    spec.externalIPs: [203.0.113.7]        removed: it opens the bot to clients outside the cluster
    spec.trafficDistribution: PreferClose  left alone: the same pod answers

A rule for a field that is not listed here, of a future Kubernetes, is added here and nowhere else:
`drift` and the table in docs/drift.md follow the rules.

Paths are spelled as in `kubectl explain`. `[]` means each declared item, found by the list's keys;
such a rule never touches other items.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tradingbot_operator.bots.children.built_in_types import at


class Verdict(StrEnum):
    """What happens to an undeclared field."""

    REMOVED = "removed"
    RESTORED = "restored"
    """The list or map is restored exactly as it is declared."""
    REPLACED = "the object is replaced"
    """The API server lets nobody change the field back."""
    LISTED = "left alone, listed"


@dataclass(frozen=True)
class Rule:
    """What happens to one field, and why."""

    kind: str
    path: str
    verdict: Verdict
    why: str
    neutral: object = None
    """The value that has no effect, and is not removed; neither are empty values."""


_CONTAINER = "spec.template.spec.containers[]"

LISTS = {
    "containers": at("Deployment", "spec.template.spec.containers"),
    "initContainers": at("Deployment", "spec.template.spec.initContainers"),
    "volumes": at("Deployment", "spec.template.spec.volumes"),
    **{name: at("Deployment", f"{_CONTAINER}.{name}") for name in ("env", "ports", "volumeMounts")},
}
"""The lists that rules reach into, with the keys by which the API server identifies items."""

SERVICE_PORTS = at("Service", "spec.ports")

DEFAULTS = {"defaultMode": 420, "protocol": "TCP"}
"""What the API server fills into declared items of these lists."""


def _service() -> Iterator[Rule]:
    exposes = "opens the bot to clients outside the cluster, or remains from a type that did"
    for name in (
        "externalIPs",
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "loadBalancerClass",
        "allocateLoadBalancerNodePorts",
        "externalTrafficPolicy",
        "healthCheckNodePort",
    ):
        yield Rule("Service", f"spec.{name}", Verdict.REMOVED, exposes)
    for name, neutral, why in (
        (
            "type",
            "ClusterIP",
            "other types open the bot to clients outside the cluster, or are an alias",
        ),
        ("externalName", None, "makes the Service an alias of a name that anybody may own"),
        ("publishNotReadyAddresses", False, "sends clients to pods that are not ready"),
        ("sessionAffinity", "None", "keeps clients at a pod that has been replaced"),
        ("sessionAffinityConfig", None, "belongs to sessionAffinity"),
        (
            "internalTrafficPolicy",
            "Cluster",
            "with Local, clients on other nodes cannot reach the bot",
        ),
    ):
        yield Rule("Service", f"spec.{name}", Verdict.REMOVED, why, neutral)
    yield Rule(
        "Service",
        "spec.ports",
        Verdict.RESTORED,
        "an extra port exposes more than the report; one with the declared name blocks ours",
    )
    yield Rule(
        "Service",
        "spec.selector",
        Verdict.RESTORED,
        "an extra key selects other pods, or none; server-side apply replaces the whole map",
    )
    yield Rule(
        "Service",
        "spec.clusterIP",
        Verdict.REPLACED,
        "None makes the Service headless, and nobody can give it an address again",
    )
    for name in ("ipFamilies", "ipFamilyPolicy", "trafficDistribution"):
        yield Rule(
            "Service",
            f"spec.{name}",
            Verdict.LISTED,
            "the same pod answers, over another address family or route",
        )


def _deployment() -> Iterator[Rule]:
    unready = "a pod that trades is reported as not available"
    for name, neutral, why in (
        ("paused", False, "another template keeps running; removed after the rest is restored"),
        ("minReadySeconds", 0, unready),
    ):
        yield Rule("Deployment", f"spec.{name}", Verdict.REMOVED, why, neutral)
    yield Rule(
        "Deployment",
        "spec.strategy",
        Verdict.RESTORED,
        "two pods would each spend the limit, and rollingUpdate is refused beside Recreate",
    )
    yield Rule(
        "Deployment",
        "spec.replicas",
        Verdict.RESTORED,
        "two pods would each spend the limit, and a stopped bot has none; it is always declared",
    )
    yield Rule(
        "Deployment",
        "spec.selector",
        Verdict.REPLACED,
        "it selects other pods than the bot's, and is immutable",
    )
    for name in ("progressDeadlineSeconds", "revisionHistoryLimit"):
        yield Rule("Deployment", f"spec.{name}", Verdict.LISTED, "changes reports, not pods")


def _pod() -> Iterator[Rule]:
    removed = (
        ("readinessGates", None, "a pod that trades is reported as not available"),
        ("schedulingGates", None, "delays the declared pod until somebody removes the gate"),
        ("nodeName", None, "bypasses the scheduler, to a node that may be full, drained or gone"),
        (
            "schedulerName",
            "default-scheduler",
            "a scheduler that does not exist never schedules the pod",
        ),
        ("resources", None, "the API server refuses later limits of the bot that exceed it"),
        ("serviceAccountName", "default", "gives the bot the rights of another account"),
        ("serviceAccount", "default", "the old name of serviceAccountName, which restores it"),
    )
    for name, neutral, why in removed:
        path = f"spec.template.spec.{name}"
        yield Rule("Deployment", path, Verdict.REMOVED, why, neutral)
    yield Rule(
        "Deployment",
        "spec.template.spec.securityContext.seccompProfile",
        Verdict.RESTORED,
        "localhostProfile is refused beside RuntimeDefault",
    )
    yield Rule(
        "Deployment",
        "spec.template.spec.initContainers",
        Verdict.RESTORED,
        "one with the name of a declared container makes the API server refuse the declared one;"
        " only that item is removed",
    )
    yield Rule(
        "Deployment",
        "spec.template.spec.volumes[]",
        Verdict.RESTORED,
        "a second source is refused; items, optional and modes swap or hide bot.json",
    )
    placement = "decides where the pod runs, as policies of a cluster do"
    for names, why in (
        (("containers", "initContainers", "volumes"), "what others run or mount beside the bot"),
        (
            ("nodeSelector", "affinity", "tolerations", "topologySpreadConstraints"),
            f"{placement}; an unschedulable pod does not trade, and Ready says why",
        ),
        (
            ("priorityClassName", "runtimeClassName"),
            "a name that does not exist is refused, and ChildrenApplied says so",
        ),
        (
            ("hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace"),
            "the declared pod runs; the Pod Security Standards forbid these",
        ),
        (
            ("hostAliases", "dnsPolicy", "dnsConfig"),
            "the declared pod runs, with other DNS settings",
        ),
    ):
        for name in names:
            yield Rule("Deployment", f"spec.template.spec.{name}", Verdict.LISTED, why)
    for name in ("labels", "annotations"):
        yield Rule(
            "Deployment",
            f"spec.template.metadata.{name}",
            Verdict.LISTED,
            "restarts the pod once, as kubectl rollout restart does, and does nothing else",
        )


def _container() -> Iterator[Rule]:
    unready = "while it fails, a pod that trades is reported as not ready"
    overrides = "overrides the declared setting of the pod"
    removed = (
        ("readinessProbe", unready),
        ("startupProbe", unready),
        ("lifecycle", "postStart delays readiness; preStop delays a stop"),
        ("restartPolicy", "a bot that has ended is not started again"),
        ("restartPolicyRules", "belongs to restartPolicy"),
        ("volumeDevices", "a device at the path of a declared mount is refused"),
        ("securityContext.privileged", "refused together with what is declared"),
        ("securityContext.capabilities.add", "CAP_SYS_ADMIN is refused, others weaken it"),
        ("securityContext.runAsNonRoot", overrides),
        ("securityContext.runAsUser", overrides),
        ("securityContext.runAsGroup", overrides),
        ("securityContext.seccompProfile", overrides),
    )
    for name, why in removed:
        path = f"spec.template.spec.containers[].{name}"
        yield Rule("Deployment", path, Verdict.REMOVED, why)
    for name, why in (
        ("env[]", "value beside valueFrom, or two sources, are refused"),
        ("ports[]", "hostPort exposes the bot; another port of the declared name is refused"),
        (
            "volumeMounts[]",
            "subPath keeps bot.json from following a change; another mount in its place hides it",
        ),
    ):
        path = f"spec.template.spec.containers[].{name}"
        yield Rule("Deployment", path, Verdict.RESTORED, why)
    for name, why in (
        ("command", "the declared image runs, with another command line"),
        ("args", "the declared image runs, with another command line"),
        ("workingDir", "the declared image runs, with another command line"),
        ("env", "variables beside the declared ones"),
        ("envFrom", "a declared variable wins over one from here"),
        ("volumeMounts", "directories beside the declared ones"),
        ("livenessProbe", "restarts the container, which its restart count shows"),
        ("imagePullPolicy", "Ready reports an image that cannot be pulled"),
        ("resources", "other resources than CPU and memory, which are declared"),
    ):
        path = f"spec.template.spec.containers[].{name}"
        yield Rule("Deployment", path, Verdict.LISTED, why)


def _gateway() -> Iterator[Rule]:
    container = "spec.template.spec.initContainers[]"
    for names, why in (
        (("command", "workingDir", "envFrom"), "runs something else with the exchange's keys"),
        (
            (
                "securityContext.privileged",
                "securityContext.capabilities.add",
                "securityContext.runAsNonRoot",
                "securityContext.runAsUser",
                "securityContext.runAsGroup",
                "securityContext.seccompProfile",
            ),
            "overrides the declared setting of the pod, or is refused together with it",
        ),
    ):
        for name in names:
            yield Rule("Deployment", f"{container}.{name}", Verdict.REMOVED, why)
    yield Rule(
        "Deployment",
        f"{container}.env",
        Verdict.RESTORED,
        "a variable of the gateway is a setting, such as whose limits it follows",
    )
    for name in ("ports[]", "volumeMounts[]"):
        yield Rule(
            "Deployment",
            f"{container}.{name}",
            Verdict.RESTORED,
            "another port of a declared name is refused; another mount hides bot.json or the books",
        )


def _config_map() -> Iterator[Rule]:
    yield Rule(
        "ConfigMap",
        "immutable",
        Verdict.REPLACED,
        "no later limit could be written, and the field cannot be unset",
    )
    yield Rule(
        "ConfigMap",
        "binaryData",
        Verdict.RESTORED,
        "the API server refuses a declared key that is here too; only that key is removed",
    )
    yield Rule(
        "ConfigMap",
        "data",
        Verdict.LISTED,
        "keys beside the declared ones are mounted and ignored; over 64 KiB in all they are"
        " removed, since a full ConfigMap has no room for new limits",
    )


RULES = (*_config_map(), *_service(), *_deployment(), *_pod(), *_container(), *_gateway())


def _guarded() -> dict[str, dict[tuple[str, ...], dict[str, object]]]:
    """Return the fields to remove with their neutral values, by kind and path of their map."""
    found: dict[str, dict[tuple[str, ...], dict[str, object]]] = {}
    for rule in RULES:
        if rule.verdict is Verdict.REMOVED:
            *holder, field = rule.path.split(".")
            found.setdefault(rule.kind, {}).setdefault(tuple(holder), {})[field] = rule.neutral
    return found


GUARDED = _guarded()


def table() -> str:
    """Return the table of docs/drift.md: one row for each kind, verdict and reason."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for verdict in Verdict:
        for rule in RULES:
            if rule.verdict is verdict:
                rows.setdefault((rule.kind, verdict.value, rule.why), []).append(f"`{rule.path}`")
    lines = ["| child | field | what happens to it | why |", "|---|---|---|---|"]
    for (kind, verdict_, why), paths in rows.items():
        lines.append(f"| {kind} | {', '.join(paths)} | {verdict_} | {why} |")
    return "\n".join(lines)
