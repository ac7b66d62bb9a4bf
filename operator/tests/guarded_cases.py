"""What tenants add to a bot's children, each with the rule that it is about."""

import json
from typing import Any, NamedTuple
from zlib import crc32

from tradingbot_operator.bots.children.drift import OTHERS_DATA

EVIL = "evil.example"


class Case(NamedTuple):
    """A tenant's strategic merge patch, or JSON patch, and the fields that it is about."""

    kind: str
    fields: tuple[str, ...]
    patch: Any


def deployment(field: str, **spec: Any) -> Case:
    return Case("Deployment", (f"spec.{field}",), {"spec": spec})


def pod(field: str, **spec: Any) -> Case:
    return Case(
        "Deployment", (f"spec.template.spec.{field}",), {"spec": {"template": {"spec": spec}}}
    )


def container(field: str, **fields: Any) -> Case:
    return pod(f"containers[].{field}", containers=[{"name": "bot", **fields}])


def in_container(field: str, op: str, path: str, value: Any) -> Case:
    """A JSON patch, where lists can be changed as server-side apply would not."""
    step = {"op": op, "path": f"/spec/template/spec/containers/0/{path}", "value": value}
    return Case("Deployment", (f"spec.template.spec.containers[].{field}",), [step])


def service(*fields: str, **spec: Any) -> Case:
    return Case("Service", tuple(f"spec.{field}" for field in fields), {"spec": spec})


def variable(**source: Any) -> Case:
    return container("env[]", env=[{"name": "EXCHANGE_API_KEY", **source}])


FALSE = {"exec": {"command": ["false"]}}
HOLD = {"postStart": {"exec": {"command": ["sleep", "100"]}}}
PIPE = {"name": "blk", "persistentVolumeClaim": {"claimName": "x"}}
NO_TMP = {"mountPath": "/tmp", "$patch": "delete"}

DRIFT = [
    deployment("paused", paused=True),
    deployment("minReadySeconds", minReadySeconds=100000, progressDeadlineSeconds=200000),
    deployment(
        "strategy",
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3}},
    ),
    deployment("replicas", replicas=5),
    pod("readinessGates", readinessGates=[{"conditionType": "x.io/y"}]),
    pod("schedulingGates", schedulingGates=[{"name": "x.io/y"}]),
    pod("nodeName", nodeName="nowhere"),
    pod("schedulerName", schedulerName="nobody"),
    pod("serviceAccountName", serviceAccountName="admin"),
    pod("serviceAccount", serviceAccount="admin"),
    pod("resources", resources={"limits": {"cpu": "500m", "memory": "100Gi"}}),
    pod(
        "securityContext.seccompProfile",
        securityContext={"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}},
    ),
    pod("volumes[]", volumes=[{"name": "config", "configMap": None, "emptyDir": {}}]),
    pod("volumes[]", volumes=[{"name": "config", "configMap": {"defaultMode": 0}}]),
    pod(
        "volumes[]",
        volumes=[{"name": "config", "configMap": {"items": [{"key": "x", "path": "bot.json"}]}}],
    ),
    container("readinessProbe", readinessProbe=FALSE),
    container("startupProbe", startupProbe=FALSE),
    container("lifecycle", lifecycle=HOLD),
    container("restartPolicy", restartPolicy="Never"),
    container(
        "restartPolicyRules",
        restartPolicy="Never",
        restartPolicyRules=[
            {"action": "Restart", "exitCodes": {"operator": "In", "values": [7]}},
        ],
    ),
    container(
        "securityContext.capabilities.add",
        securityContext={
            "allowPrivilegeEscalation": True,
            "capabilities": {"add": ["CAP_SYS_ADMIN"]},
        },
    ),
    container("securityContext.runAsUser", securityContext={"runAsUser": 0}),
    container("securityContext.runAsGroup", securityContext={"runAsGroup": 0}),
    container("securityContext.runAsNonRoot", securityContext={"runAsNonRoot": False}),
    container(
        "securityContext.seccompProfile",
        securityContext={"seccompProfile": {"type": "Unconfined"}},
    ),
    variable(value="x", valueFrom=None),
    variable(valueFrom={"secretKeyRef": None, "configMapKeyRef": {"name": "a", "key": "b"}}),
    variable(valueFrom={"secretKeyRef": {"optional": True}}),
    in_container("env[]", "add", "env/0", {"name": "EXCHANGE_API_KEY", "value": "x"}),
    container("ports[]", ports=[{"containerPort": 8080, "hostPort": 8080}]),
    in_container("ports[]", "replace", "ports", [{"name": "http", "containerPort": 9090}]),
    in_container("ports[]", "add", "ports/-", {"name": "x", "containerPort": 8080}),
    container("volumeMounts[]", volumeMounts=[{"mountPath": "/etc/tradingbot", "subPath": "x"}]),
    in_container(
        "volumeMounts[]",
        "add",
        "volumeMounts/-",
        {"name": "tmp", "mountPath": "/etc/tradingbot/bot.json", "subPath": "x"},
    ),
    in_container(
        "volumeMounts[]", "add", "volumeMounts/-", {"name": "tmp", "mountPath": "//etc/tradingbot/"}
    ),
    Case(
        "Deployment",
        ("spec.template.spec.initContainers",),
        [
            {
                "op": "add",
                "path": "/spec/template/spec/initContainers",
                "value": [{"name": "bot", "image": "x"}],
            },
            {"op": "replace", "path": "/spec/template/spec/containers/0/name", "value": "other"},
        ],
    ),
    service("type", "externalName", type="ExternalName", externalName=EVIL),
    service("type", type="NodePort"),
    service(
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "loadBalancerClass",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "allocateLoadBalancerNodePorts",
        type="LoadBalancer",
        loadBalancerIP="192.0.2.7",
        loadBalancerSourceRanges=["10.0.0.0/8"],
        loadBalancerClass="x.io/y",
        externalTrafficPolicy="Local",
    ),
    service("externalIPs", externalIPs=["192.0.2.7"]),
    service("publishNotReadyAddresses", publishNotReadyAddresses=True),
    service(
        "sessionAffinity",
        "sessionAffinityConfig",
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": 5}},
    ),
    service("internalTrafficPolicy", internalTrafficPolicy="Local"),
    service("ports", ports=[{"port": 8080, "targetPort": 9999, "appProtocol": "h2"}]),
    service("ports", ports=[{"name": "admin", "port": 22, "targetPort": 22}]),
    Case(
        "Service",
        ("spec.ports",),
        [{"op": "replace", "path": "/spec/ports", "value": [{"name": "http", "port": 9090}]}],
    ),
    service("selector", selector={"app": "mine"}),
    service("selector", selector=None),
    Case("ConfigMap", ("binaryData",), {"data": None, "binaryData": {"bot.json": "eA=="}}),
    Case("ConfigMap", ("data",), {"data": {"big": "x" * OTHERS_DATA}}),
]

NOT_TRIED = {
    "spec.template.spec.containers[].securityContext.privileged": "this control plane allows none",
    "spec.template.spec.containers[].volumeDevices": "leaves a volume, so it has a test of its own",
    **{
        f"spec.template.spec.initContainers[].{field}": "of a bot with a gateway only"
        for field in (
            *("command", "workingDir", "envFrom", "env", "ports[]", "volumeMounts[]"),
            *("securityContext.privileged", "securityContext.capabilities.add"),
            *("securityContext.runAsNonRoot", "securityContext.runAsUser"),
            *("securityContext.runAsGroup", "securityContext.seccompProfile"),
        )
    },
}

LISTED = [
    pod("containers", containers=[{"name": "sidecar", "image": "mesh:1"}]),
    pod("initContainers", initContainers=[{"name": "wait", "image": "mesh:1"}]),
    pod("volumes", volumes=[{"name": "ca", "configMap": {"name": "ca"}}]),
    pod("nodeSelector", nodeSelector={"pool": "spot"}),
    pod("affinity", affinity={"nodeAffinity": {}}),
    pod("tolerations", tolerations=[{"key": "spot", "operator": "Exists"}]),
    pod(
        "topologySpreadConstraints",
        topologySpreadConstraints=[
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
    ),
    pod("priorityClassName", priorityClassName="high"),
    pod("runtimeClassName", runtimeClassName="gvisor"),
    pod("hostNetwork", hostNetwork=True),
    pod("hostPID", hostPID=True),
    pod("hostIPC", hostIPC=True),
    pod("hostUsers", hostUsers=False),
    pod("shareProcessNamespace", shareProcessNamespace=True),
    pod("hostAliases", hostAliases=[{"ip": "192.0.2.7", "hostnames": [EVIL]}]),
    pod("dnsPolicy", dnsPolicy="Default"),
    pod("dnsConfig", dnsConfig={"nameservers": ["192.0.2.7"]}),
    container("command", command=["sh"]),
    container("args", args=["x"]),
    container("workingDir", workingDir="/x"),
    container("env", env=[{"name": "HTTP_PROXY", "value": "http://proxy"}]),
    container("envFrom", envFrom=[{"configMapRef": {"name": "x"}}]),
    container("volumeMounts", volumeMounts=[{"name": "tmp", "mountPath": "/ca"}]),
    container("livenessProbe", livenessProbe=FALSE),
    container("imagePullPolicy", imagePullPolicy="Never"),
    container("resources", resources={"limits": {"ephemeral-storage": "2Gi"}}),
    deployment("progressDeadlineSeconds", progressDeadlineSeconds=900),
    deployment("revisionHistoryLimit", revisionHistoryLimit=1),
    Case(
        "Deployment",
        ("spec.template.metadata.annotations",),
        {"spec": {"template": {"metadata": {"annotations": {"kubectl.x.io/restartedAt": "now"}}}}},
    ),
    Case(
        "Deployment",
        ("spec.template.metadata.labels",),
        {"spec": {"template": {"metadata": {"labels": {"team": "desk-7"}}}}},
    ),
    service("ipFamilyPolicy", ipFamilyPolicy="PreferDualStack"),
    service("trafficDistribution", trafficDistribution="PreferClose"),
    Case("ConfigMap", ("data",), {"data": {"other.yaml": "x"}}),
]

REPLACED = [
    Case("ConfigMap", ("immutable",), {"immutable": True}),
    Case("Service", ("spec.clusterIP",), None),
    Case("Deployment", ("spec.selector",), None),
]


def name_of(case: Case) -> str:
    digest = crc32(json.dumps(case.patch).encode())
    return f"{case.fields[0].rpartition('.')[2].strip('[]').lower()}-{digest}"
