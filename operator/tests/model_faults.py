"""What may go wrong in the model: requests that fail, and what tenants do to a bot's children."""

from operator_harness import SECRET
from reconcile_harness import CONFIG_MAP, DEPLOYMENT, SERVICE
from tradingbot_api.model import JsonObject
from tradingbot_operator.cluster.client import KubernetesError

POLICY = KubernetesError(422, "Invalid", "a policy wants a label")
ERRORS = (
    POLICY,
    KubernetesError(500, "InternalError", "failed calling webhook: connection refused"),
    KubernetesError(403, "Forbidden", "forbidden"),
    KubernetesError(409, "Conflict", "the object has been modified"),
    KubernetesError(409, "AlreadyExists", "object is being deleted"),
    KubernetesError(429, "TooManyRequests", "too many requests"),
    KubernetesError(0, "Unreachable", "no answer"),
)
ALWAYS = 1_000_000
REQUESTS = (
    ("apply", "ConfigMap"),
    ("apply", "Deployment"),
    ("apply", "Service"),
    ("merge", "Deployment"),
    ("merge/scale", "Deployment"),
    ("merge", "TradingBot"),
    ("merge/status", "TradingBot"),
    ("delete", "Deployment"),
    ("delete", "ConfigMap"),
    ("delete", "Pod"),
    ("get", "ConfigMap"),
    ("get", "Deployment"),
    ("get", "Service"),
    ("get", "Secret"),
    ("get", "ReplicaSet"),
    ("get", "TradingBot"),
    ("list", "Pod"),
    ("list", "Deployment"),
    ("list", "ReplicaSet"),
    ("create", "Event"),
)
SECRET_KEY = ("Secret", "desk", SECRET)
CHILDREN = (CONFIG_MAP, DEPLOYMENT, SERVICE)
TENANTS_EDITS: dict[str, tuple[tuple[str, str, str], JsonObject]] = {
    "more replicas": (DEPLOYMENT, {"spec": {"replicas": 3}}),
    "no replicas": (DEPLOYMENT, {"spec": {"replicas": 0}}),
    "another image": (DEPLOYMENT, {"spec": {"template": {"metadata": {"annotations": None}}}}),
    "garbage for credentials": (
        DEPLOYMENT,
        {"metadata": {"annotations": {"trading.io/credentials": "[" * 5000}}},
    ),
    "paused": (DEPLOYMENT, {"spec": {"paused": True}}),
    "never ready": (DEPLOYMENT, {"spec": {"minReadySeconds": 100_000}}),
    "labels of the Deployment": (DEPLOYMENT, {"metadata": {"labels": None}}),
    "owner of the Deployment": (DEPLOYMENT, {"metadata": {"ownerReferences": None}}),
    "owner of the ConfigMap": (CONFIG_MAP, {"metadata": {"ownerReferences": None}}),
    "immutable": (CONFIG_MAP, {"immutable": True}),
    "garbage for bot.json": (CONFIG_MAP, {"data": {"bot.json": "garbage"}}),
    "labels of the Service": (SERVICE, {"metadata": {"labels": None}}),
}

LADDER = (
    (("apply", "Deployment"), ("merge", "Deployment")),
    (("merge/scale", "Deployment"),),
    (("delete", "Deployment"),),
    (("delete", "Pod"),),
)
"""The requests of each step of a stop."""


def foreign_object(key: tuple[str, str, str], uid: str) -> JsonObject:
    """An object of somebody else; a pod carries the bot's labels."""
    kind, namespace, name = key
    labels = {"trading.io/bot": "arb", "app.kubernetes.io/name": "tradingbot"}
    labels["app.kubernetes.io/managed-by"] = "tradingbot-operator"
    meta: JsonObject = {"name": name, "namespace": namespace, "uid": uid}
    meta |= {"labels": labels} if kind == "Pod" else {}
    spec = {"replicas": 2, "template": {}} if kind == "Deployment" else {}
    obj = {"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": spec}
    return {**obj, "status": {"phase": "Running"}}
