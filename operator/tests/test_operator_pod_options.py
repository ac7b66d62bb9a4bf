"""What `spec.pod`, `proxyURL` and `caBundle` make of a bot's pod and its other children."""

from typing import Any

import pytest
from admission_cases import CASES
from operator_harness import NOW, SECRET_VERSION, bot, bot_body, merged, observed
from tradingbot_api.model import JsonObject
from tradingbot_operator import ADDED_METADATA, BOT_UID, RESTART_HASH
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.manifests import pod_template
from tradingbot_operator.bots.children.surroundings import Surroundings
from tradingbot_operator.bots.observed import Children
from tradingbot_operator.bots.plan import plan
from tradingbot_operator.settings import OperatorSettings

STORAGE = {"size": "10Gi"}


def made(spec: JsonObject, children: Children | None = None) -> dict[str, JsonObject]:
    """The children of a bot, by kind."""
    subject = bot(spec)
    assert subject.spec is not None, subject.invalid_fields
    decision = plan(subject, observed(children), NOW)
    return {manifest["kind"]: manifest for manifest in decision.manifests}


def pod_of(spec: JsonObject) -> JsonObject:
    """The spec of the pod."""
    found: JsonObject = made(spec)["Deployment"]["spec"]["template"]["spec"]
    return found


def container_of(spec: JsonObject) -> JsonObject:
    (found,) = pod_of(spec)["containers"]
    return dict(found)


def env_of(spec: JsonObject) -> dict[str, str]:
    """The variables that have a value."""
    env = container_of(spec)["env"]
    return {variable["name"]: variable["value"] for variable in env if "value" in variable}


# ---- the pod


def test_a_bot_without_options_has_the_pod_that_it_always_had() -> None:
    pod = pod_of({})

    assert set(pod) == {
        *("automountServiceAccountToken", "enableServiceLinks"),
        *("terminationGracePeriodSeconds", "securityContext", "containers", "volumes"),
    }
    assert pod["terminationGracePeriodSeconds"] == 30
    assert set(made({})) == {"ConfigMap", "Service", "Deployment"}


PASSED_ON = {
    "imagePullSecrets": [{"name": "registry"}],
    "serviceAccountName": "trader",
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "trading", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
                ]
            }
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "priorityClassName": "trading",
    "runtimeClassName": "gvisor",
    "terminationGracePeriodSeconds": 300,
}


@pytest.mark.parametrize("field", PASSED_ON)
def test_a_field_of_kubernetes_own_pod_is_passed_on_as_it_is(field: str) -> None:
    assert pod_of({"pod": {field: PASSED_ON[field]}})[field] == PASSED_ON[field]


def test_the_token_of_a_service_account_is_not_mounted_unless_a_file_asks_for_it() -> None:
    pod = pod_of({"pod": {"serviceAccountName": "trader"}})
    assert pod["automountServiceAccountToken"] is False
    assert not any("projected" in volume for volume in pod["volumes"])

    token = {"mountPath": "/vault", "serviceAccountToken": {"audience": "vault"}}
    pod = pod_of({"pod": {"files": [token]}})
    assert pod["automountServiceAccountToken"] is False
    source = {"audience": "vault", "expirationSeconds": 3600, "path": "token"}
    assert pod["volumes"][-1] == {
        "name": "files-0",
        "projected": {"sources": [{"serviceAccountToken": source}]},
    }


def test_what_the_container_runs_and_reads_is_passed_on() -> None:
    env = [
        {"name": "LEVEL", "value": "debug"},
        {"name": "CHAT", "valueFrom": {"secretKeyRef": {"name": "chat", "key": "id"}}},
    ]
    sources = [{"prefix": "DB_", "secretRef": {"name": "database", "optional": True}}]

    found = container_of(
        {"pod": {"command": ["/bot"], "args": ["-v"], "env": env, "envFrom": sources}}
    )

    assert (found["command"], found["args"]) == (["/bot"], ["-v"])
    assert found["env"][-2:] == env
    assert found["envFrom"] == sources
    assert [variable["name"] for variable in found["env"][:3]] == [
        *("EXCHANGE_API_KEY", "EXCHANGE_API_SECRET", "TRADINGBOT_CONFIG"),
    ]


def test_files_are_read_only_and_storage_can_be_written_to() -> None:
    files = [
        {"mountPath": "/etc/bot", "configMap": {"name": "settings", "optional": True}},
        {"mountPath": "/tls", "secret": {"name": "tls"}},
    ]
    spec = {"pod": {"files": files, "storage": STORAGE}}

    assert pod_of(spec)["volumes"][2:] == [
        {"name": "files-0", "configMap": {"name": "settings", "optional": True}},
        {"name": "files-1", "secret": {"secretName": "tls"}},
        {"name": "storage", "persistentVolumeClaim": {"claimName": "arb-data"}},
    ]
    assert container_of(spec)["volumeMounts"][2:] == [
        {"name": "files-0", "mountPath": "/etc/bot", "readOnly": True},
        {"name": "files-1", "mountPath": "/tls", "readOnly": True},
        {"name": "storage", "mountPath": "/data"},
    ]
    assert pod_of(spec)["securityContext"]["fsGroup"] == 65532


# ---- the way to the exchange

PROXY = "http://proxy.example:3128"


def test_a_proxy_is_set_in_both_cases_and_not_for_the_clusters_own_addresses() -> None:
    found = env_of({"exchange": {"proxyURL": PROXY}})

    assert found["HTTPS_PROXY"] == found["https_proxy"] == PROXY
    assert not {"HTTP_PROXY", "http_proxy"} & set(found)
    assert found["NO_PROXY"] == found["no_proxy"]
    assert {
        "localhost",
        ".svc",
        ".cluster.local",
        "10.0.0.0/8",
        "$(KUBERNETES_SERVICE_HOST)",
    } <= set(found["NO_PROXY"].split(","))


def test_an_exchange_in_plain_http_is_reached_through_the_proxy_too() -> None:
    found = env_of({"exchange": {"baseURL": "http://exchange.example", "proxyURL": PROXY}})

    assert found["HTTP_PROXY"] == found["http_proxy"] == PROXY


def test_ca_certificates_are_a_file_that_each_family_of_clients_finds() -> None:
    spec = {"exchange": {"caBundle": {"name": "company-ca", "key": "bundle.pem"}}}

    found = env_of(spec)

    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        assert found[name] == "/etc/tradingbot-ca/ca.crt"
    assert "SSL_CERT_DIR" not in found, "it would replace the directory of the system"
    assert pod_of(spec)["volumes"][2]["configMap"] == {
        "name": "company-ca",
        "items": [{"key": "bundle.pem", "path": "ca.crt"}],
    }
    assert container_of(spec)["volumeMounts"][2]["readOnly"] is True


def test_the_settings_say_what_the_clusters_own_addresses_are() -> None:
    settings = OperatorSettings(
        no_proxy=".{cluster_domain},10.1.0.0/16", cluster_domain="k8s.example", namespaces=""
    )

    assert Surroundings.of(settings).no_proxy == ".k8s.example,10.1.0.0/16"
    assert (
        ".svc,.k8s.example,"
        in Surroundings.of(OperatorSettings(cluster_domain="k8s.example")).no_proxy
    )


# ---- labels and annotations


def test_labels_are_on_everything_and_annotations_on_pod_and_deployment() -> None:
    labels, annotations = {"team": "desk"}, {"example.com/owner": "desk"}
    children = made(
        {
            "pod": {
                "labels": labels,
                "annotations": annotations,
                "storage": STORAGE,
                "networkPolicy": "Restricted",
            }
        }
    )

    assert len(children) == 5
    for child in children.values():
        assert labels.items() <= child["metadata"]["labels"].items()
        assert child["metadata"]["labels"]["trading.io/bot"] == "arb"
    template = children["Deployment"]["spec"]["template"]["metadata"]
    assert labels.items() <= template["labels"].items()
    assert annotations.items() <= template["annotations"].items()
    assert RESTART_HASH in template["annotations"]
    on_deployment = children["Deployment"]["metadata"]["annotations"]
    assert annotations.items() <= on_deployment.items()
    assert on_deployment[ADDED_METADATA] == "example.com/owner,team"
    assert "example.com/owner" not in children["Service"]["metadata"]["annotations"]


def test_labels_do_not_change_what_selects_the_pod() -> None:
    plain, labelled = made({}), made({"pod": {"labels": {"team": "desk"}}})

    for kind in ("Service", "Deployment"):
        assert labelled[kind]["spec"]["selector"] == plain[kind]["spec"]["selector"]


# ---- what needs a restart

RESTARTS: list[tuple[JsonObject, JsonObject, bool]] = [
    ({}, {"pod": {}}, False),
    ({}, {"pod": {"networkPolicy": "Restricted"}}, False),
    ({"pod": {"storage": STORAGE}}, {"pod": {"storage": {"size": "20Gi"}}}, False),
    ({"pod": {"storage": STORAGE}}, {"pod": {"storage": {"retain": True}}}, False),
    ({"pod": {"storage": STORAGE}}, {"pod": {"storage": {"mountPath": "/elsewhere"}}}, True),
    ({}, {"pod": {"storage": STORAGE}}, True),
    ({}, {"pod": {"labels": {"team": "desk"}}}, True),
    ({}, {"pod": {"annotations": {"team": "desk"}}}, True),
    ({}, {"pod": {"env": [{"name": "A", "value": "1"}]}}, True),
    ({}, {"exchange": {"proxyURL": PROXY}}, True),
    ({}, {"exchange": {"caBundle": {"name": "ca"}}}, True),
    *(({}, {"pod": {field: value}}, True) for field, value in PASSED_ON.items()),
]


@pytest.mark.parametrize(("before", "change", "restarts"), RESTARTS, ids=str)
def test_what_the_pod_has_needs_a_restart_and_nothing_else(
    before: JsonObject, change: JsonObject, restarts: bool
) -> None:
    old, new = (hash_of(spec) for spec in (before, merged(before, change)))

    assert (old != new) is restarts


def hash_of(spec: JsonObject) -> str:
    subject = bot(spec)
    assert subject.spec is not None
    return pod_template(subject, subject.spec, SECRET_VERSION)[1]


# ---- the volume


def claim_of(
    storage: JsonObject, live_size: str | None = None, live_class: object = None
) -> JsonObject:
    live = None
    if live_size is not None:
        live = {"spec": {"resources": {"requests": {"storage": live_size}}}}
        live["spec"] |= {"storageClassName": live_class} if live_class else {}
    return made({"pod": {"storage": storage}}, Children(claim=live))["PersistentVolumeClaim"]


def test_a_claim_is_deleted_with_its_bot_unless_it_is_retained() -> None:
    (owner,) = claim_of(STORAGE)["metadata"]["ownerReferences"]
    assert owner["uid"] == "uid-arb"

    retained = claim_of({**STORAGE, "retain": True})["metadata"]
    assert "ownerReferences" not in retained
    assert retained["annotations"][BOT_UID] == "uid-arb"
    assert retained["name"] == "arb-data"


@pytest.mark.parametrize(
    ("declared", "live", "size"),
    [
        ("10Gi", None, "10Gi"),
        ("10Gi", "5Gi", "10Gi"),
        ("10Gi", "20Gi", "20Gi"),
        ("10Gi", "10240Mi", "10Gi"),
        ("10Gi", "nonsense", "10Gi"),
    ],
)
def test_a_claim_grows_and_never_shrinks(declared: str, live: str | None, size: str) -> None:
    requests = claim_of({"size": declared}, live)["spec"]["resources"]["requests"]

    assert requests == {"storage": size}


def test_the_class_of_a_claim_is_declared_only_if_it_is_chosen() -> None:
    assert "storageClassName" not in claim_of(STORAGE)["spec"]
    assert claim_of({**STORAGE, "storageClassName": "fast"})["spec"]["storageClassName"] == "fast"


@pytest.mark.parametrize(
    ("chosen", "live", "class_name"),
    [(None, "fast", "fast"), ("slow", "fast", "slow"), (None, 7, None), (None, None, None)],
)
def test_a_claim_that_exists_keeps_its_class_unless_the_bot_chooses_one(
    chosen: str | None, live: object, class_name: str | None
) -> None:
    """An apply that leaves out a class that an earlier bot has applied would be refused."""
    storage = {**STORAGE, **({"storageClassName": chosen} if chosen else {})}

    assert claim_of(storage, "10Gi", live)["spec"].get("storageClassName") == class_name


# ---- the network policy


@pytest.mark.parametrize(
    ("exchange", "ports"),
    [
        ({}, [443]),
        ({"baseURL": "https://exchange.example:8443/api"}, [8443]),
        ({"baseURL": "http://exchange.example"}, [80]),
        ({"proxyURL": PROXY}, [443, 3128]),
        ({"proxyURL": "https://proxy.example"}, [443]),
    ],
    ids=str,
)
def test_a_restricted_bot_reaches_dns_its_exchange_and_its_proxy(
    exchange: JsonObject, ports: list[int]
) -> None:
    policy = made({"exchange": exchange, "pod": {"networkPolicy": "Restricted"}})["NetworkPolicy"]

    spec = policy["spec"]
    assert spec["podSelector"]["matchLabels"]["trading.io/bot"] == "arb"
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [
        {
            "from": [
                {
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": "tradingbot-system"}
                    }
                }
            ],
            "ports": [{"protocol": "TCP", "port": 8080}],
        }
    ]
    assert spec["egress"] == [
        {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]},
        {"ports": [{"protocol": "TCP", "port": port} for port in ports]},
    ]


def test_the_sample_with_everything_is_read_by_the_operator() -> None:
    """What the corpus admits with every field set makes all five children."""
    subject = Bot.read(bot_body(everything()), now=NOW)

    assert subject.invalid_fields == ()
    assert len(plan(subject, observed(), NOW).manifests) == 5


def everything() -> dict[str, Any]:
    """The spec of the corpus with every field."""
    spec = next(case for case in CASES if "everything at once" in case.name).manifest["spec"]
    exchange = {key: spec["exchange"][key] for key in ("proxyURL", "caBundle")}
    return {"exchange": exchange, "pod": spec["pod"]}
