"""What holds for every manifest, in each of the ways to install: rights, limits, certainty."""

import re
from argparse import ArgumentParser
from importlib import import_module
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import pytest
from rendered import NAMESPACE, Object, kustomized, of_kind
from tradingbot_api.strategies.checked import DEFAULT_STRATEGY_IMAGES, repositories
from tradingbot_cli.flags import add_flags, load
from tradingbot_cli.logs import LogSettings
from tradingbot_cli.service import PARTS
from tradingbot_webhooks.settings import WebhookSettings

EXTRAS = ("prometheus", "gateway-metrics")
WAYS = ("default", "selfsigned")
WEBHOOKS = "tradingbot-webhooks"
BUILT_IN_ROLES = {"system:auth-delegator"}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
# What some rights amount to, whatever they are called.
NEVER = {"escalate", "bind", "impersonate"}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@pytest.fixture(
    scope="module",
    params=WAYS,
)
def objects(request: pytest.FixtureRequest) -> tuple[Object, ...]:
    return kustomized(request.param, *EXTRAS)


def pods(objects: tuple[Object, ...]) -> dict[str, Object]:
    """The pod of each Deployment, by the Deployment's name."""
    return {
        name: one["spec"]["template"]["spec"]
        for name, one in of_kind(objects, "Deployment").items()
    }


def containers(objects: tuple[Object, ...]) -> list[Object]:
    return [
        container
        for pod in pods(objects).values()
        for container in chain(pod["containers"], pod.get("initContainers", []))
    ]


def test_nothing_but_deployments_has_pods(objects: tuple[Object, ...]) -> None:
    with_pods = {one["kind"] for one in objects if "template" in one.get("spec", {})}
    assert with_pods == {"Deployment"}


def test_every_object_belongs_to_the_release_and_its_namespace(
    objects: tuple[Object, ...],
) -> None:
    for one in objects:
        assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "tradingbot", one
        assert one["metadata"].get("namespace", NAMESPACE) == NAMESPACE, one
    (namespace,) = of_kind(objects, "Namespace").values()
    assert namespace["metadata"]["name"] == NAMESPACE
    assert {
        namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"]
        for mode in ("enforce", "audit", "warn")
    } == {"restricted"}


def test_every_container_has_requests_and_limits(objects: tuple[Object, ...]) -> None:
    for container in containers(objects):
        for bound in ("requests", "limits"):
            assert set(container["resources"][bound]) == {"cpu", "memory"}, container["name"]


def test_every_container_is_restricted_and_probed(objects: tuple[Object, ...]) -> None:
    for pod in pods(objects).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(objects):
        assert container["securityContext"] == RESTRICTED
        declared = {port["name"] for port in container["ports"]}
        for probe in PROBES:
            assert container[probe]["httpGet"]["port"] in declared


# ---- rights


def test_each_process_has_an_account_of_its_own(objects: tuple[Object, ...]) -> None:
    accounts = {name: pod["serviceAccountName"] for name, pod in pods(objects).items()}
    assert len(set(accounts.values())) == len(accounts)
    assert set(accounts.values()) == set(of_kind(objects, "ServiceAccount"))


def test_no_rule_has_a_wildcard_or_hands_rights_on(objects: tuple[Object, ...]) -> None:
    roles = [one for one in objects if one["kind"] in {"Role", "ClusterRole"}]
    assert roles
    for role in roles:
        name = role["metadata"]["name"]
        for rule in role["rules"]:
            words = set(chain.from_iterable(rule.values()))
            assert not any("*" in word for word in words), name
            assert not words & NEVER, name
            assert "nonResourceURLs" not in rule, name


def test_nobody_is_bound_to_a_role_that_is_not_written_here(objects: tuple[Object, ...]) -> None:
    bindings = [one for one in objects if one["kind"].endswith("RoleBinding")]
    ours = {(kind, name) for kind in ("Role", "ClusterRole") for name in of_kind(objects, kind)}
    accounts = of_kind(objects, "ServiceAccount")
    for binding in bindings:
        role = binding["roleRef"]["kind"], binding["roleRef"]["name"]
        assert role in ours or role[1] in BUILT_IN_ROLES, binding["metadata"]["name"]
        for subject in binding["subjects"]:
            assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", NAMESPACE)
            assert subject["name"] in accounts


def test_a_token_is_mounted_only_where_a_pod_asks_for_it(objects: tuple[Object, ...]) -> None:
    for account in of_kind(objects, "ServiceAccount").values():
        assert account["automountServiceAccountToken"] is False
    assert all("automountServiceAccountToken" in pod for pod in pods(objects).values())


@pytest.mark.parametrize("extras", [(), EXTRAS])
@pytest.mark.parametrize("way", WAYS)
def test_a_stolen_token_of_the_webhooks_reads_no_secret(way: str, extras: tuple[str, ...]) -> None:
    """They are granted nothing at all, hold no token, and ask for nothing."""
    objects = kustomized(way, *extras)
    assert rules_of(objects, WEBHOOKS) == []
    pod = pods(objects)[WEBHOOKS]
    assert pod["automountServiceAccountToken"] is False
    assert not any("projected" in volume for volume in pod["volumes"])


def rules_of(objects: tuple[Object, ...], account: str) -> list[Object]:
    """All that an account is granted by roles that are written here."""
    roles = {
        (kind, name): role["rules"]
        for kind in ("Role", "ClusterRole")
        for name, role in of_kind(objects, kind).items()
    }
    return [
        rule
        for binding in objects
        if binding["kind"].endswith("RoleBinding")
        and account in {subject["name"] for subject in binding["subjects"]}
        for rule in roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
    ]


# ---- processes that must be there


@pytest.mark.parametrize("name", ["tradingbot-webhooks", "tradingbot-operator"])
def test_neither_a_lost_node_nor_an_update_takes_all_replicas(
    objects: tuple[Object, ...], name: str
) -> None:
    deployment = of_kind(objects, "Deployment")[name]["spec"]
    assert deployment["replicas"] >= 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod = deployment["template"]
    (wish,) = pod["spec"]["affinity"]["podAntiAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    spread = pod["spec"]["topologySpreadConstraints"]
    budget = of_kind(objects, "PodDisruptionBudget")[name]["spec"]
    assert wish["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert [one["topologyKey"].rpartition("/")[2] for one in spread] == ["hostname", "zone"]
    assert budget["maxUnavailable"] == 1
    selectors = [wish["podAffinityTerm"], *spread, {"labelSelector": budget["selector"]}]
    for one in selectors:
        chosen = one["labelSelector"]["matchLabels"]
        assert chosen == deployment["selector"]["matchLabels"]
        assert chosen.items() <= pod["metadata"]["labels"].items()


def test_a_webhook_ends_after_the_service_has_forgotten_it_and_within_its_time(
    objects: tuple[Object, ...],
) -> None:
    pod = pods(objects)["tradingbot-webhooks"]
    (container,) = pod["containers"]
    # The kubelet's own: the image has neither a shell nor a program that sleeps.
    assert set(container["lifecycle"]["preStop"]) == {"sleep"}
    waiting = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    settings = started_with(container)
    assert isinstance(settings, WebhookSettings)
    assert waiting >= 5
    assert settings.drain_delay > 0, "connections that are kept open would be cut off"
    ending = waiting + settings.drain_delay + settings.drain_timeout
    assert ending + 5 <= pod["terminationGracePeriodSeconds"]


def test_every_process_knows_the_settings_that_it_is_started_with(
    objects: tuple[Object, ...],
) -> None:
    for container in containers(objects):
        started_with(container)


def test_the_manifests_name_the_strategies_images_of_the_default(
    objects: tuple[Object, ...],
) -> None:
    """Of both processes: what admission denies, the operator does not run."""
    name = "TRADINGBOT_{}_STRATEGY_IMAGES"
    said = {
        variable["name"]: repositories([variable["value"]])
        for container in containers(objects)
        for variable in container.get("env", [])
        if variable["name"].endswith("_STRATEGY_IMAGES")
    }

    assert said == {
        name.format(process): DEFAULT_STRATEGY_IMAGES for process in ("WEBHOOKS", "OPERATOR")
    }


def started_with(container: Object) -> Any:
    """The settings that a container's arguments make, read as `tradingbot` does."""
    command, *flags = container["args"]
    module, _, name = PARTS[command].settings.partition(":")
    settings = getattr(import_module(module), name)
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    add_flags(parser, settings)
    add_flags(parser, LogSettings)
    return load(settings, parser.parse_args(flags))


def volume(pod: Object, name: str) -> Object:
    (found,) = (one for one in pod["volumes"] if one["name"] == name)
    return dict(found)


def test_the_registry_is_shown_a_token_of_its_own_over_tls(objects: tuple[Object, ...]) -> None:
    (operator,) = pods(objects)["tradingbot-operator"]["containers"]
    (registry,) = pods(objects)["tradingbot-registry"]["containers"]
    asks, answers = started_with(operator), started_with(registry)
    (mount,) = (one for one in operator["volumeMounts"] if one["name"] == "registry")
    sources = volume(pods(objects)["tradingbot-operator"], "registry")["projected"]["sources"]
    projected = {key: value for source in sources for key, value in source.items()}
    token, authority = projected["serviceAccountToken"], projected["secret"]
    assert token["audience"] == answers.token_audience
    assert asks.registry_token_file == f"{mount['mountPath']}/{token['path']}"
    assert asks.registry_ca_file == f"{mount['mountPath']}/{authority['items'][0]['path']}"
    assert authority["optional"] is True, "bots would wait for the registry's certificate"
    assert not answers.accept_cluster_tokens
    served = volume(pods(objects)["tradingbot-registry"], "tls")["secret"]
    assert served["secretName"] == authority["name"]
    assert {one["mountPath"] for one in registry["volumeMounts"]} > {str(answers.cert_dir)}
    for probe in PROBES:
        assert registry[probe]["httpGet"]["scheme"] == "HTTPS"


def test_the_registrys_address_is_absolute_and_its_name_is_in_the_certificate(
    objects: tuple[Object, ...],
) -> None:
    (operator,) = pods(objects)["tradingbot-operator"]["containers"]
    asks = started_with(operator)
    url = urlsplit(asks.registry_url.replace("{cluster_domain}", "cluster.local"))
    service = of_kind(objects, "Service")["tradingbot-registry"]
    assert url.scheme == service["spec"]["ports"][0]["appProtocol"] == "https"
    assert url.port == service["spec"]["ports"][0]["port"]
    name = f"{service['metadata']['name']}.{NAMESPACE}.svc"
    assert url.hostname == f"{name}.cluster.local."
    assert asks.registry_server_name == name
    certificates = of_kind(objects, "Certificate")
    if certificates:
        names = certificates["tradingbot-registry-tls"]["spec"]["dnsNames"]
    else:
        (certs,) = pods(objects)["tradingbot-certs"]["containers"]
        settings = started_with(certs)
        assert settings.registry_secret == f"{NAMESPACE}/tradingbot-registry-tls"
        names = list(settings.registry_cert_names)
    assert names == [name, f"{name}.cluster.local"]


def test_no_url_in_the_cluster_is_relative(objects: tuple[Object, ...]) -> None:
    """`X.Y.svc` is first tried as `X.Y.svc.svc.cluster.local`: anybody's with a namespace svc."""
    for container in containers(objects):
        for argument in container["args"]:
            for host in re.findall(r"https?://([^/:]+)", argument):
                assert host.endswith("."), argument


@pytest.mark.parametrize("way", WAYS)
def test_nothing_more_is_needed_for_the_namespace_to_be_closed(way: str) -> None:
    policies = of_kind(kustomized(way), "NetworkPolicy")
    closed = policies["tradingbot-deny-ingress"]["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert {one["spec"]["policyTypes"][0] for one in policies.values()} == {"Ingress"}


def test_prometheus_presents_the_token_that_the_operator_asks_for(
    objects: tuple[Object, ...],
) -> None:
    pod = pods(objects)["tradingbot-operator"]
    (container,) = pod["containers"]
    secret = volume(pod, "metrics")["secret"]
    (item,) = secret["items"]
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "metrics")
    assert started_with(container).metrics_token_file == f"{mount['mountPath']}/{item['path']}"
    assert secret["optional"] is True
    (endpoint,) = of_kind(objects, "ServiceMonitor")["tradingbot-operator"]["spec"]["endpoints"]
    credentials = endpoint["authorization"]["credentials"]
    assert credentials == {"name": secret["secretName"], "key": item["key"]}


def test_one_registry_owns_its_volume(objects: tuple[Object, ...]) -> None:
    registry = of_kind(objects, "Deployment")["tradingbot-registry"]["spec"]
    assert registry["replicas"] == 1
    assert registry["strategy"] == {"type": "Recreate"}
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in registry["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    claim = of_kind(objects, "PersistentVolumeClaim")
    assert claims == list(claim)
    assert claim[claims[0]]["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_a_service_leads_to_ports_that_pods_have(objects: tuple[Object, ...]) -> None:
    deployments = of_kind(objects, "Deployment").values()
    for name, service in of_kind(objects, "Service").items():
        found = [
            {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
            for pod in (one["spec"]["template"] for one in deployments)
            if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        ]
        # There is no such pod where cert-manager makes the certificates.
        assert len(found) == 1 or name == "tradingbot-certs-metrics"
        for ports in found:
            assert {one["targetPort"] for one in service["spec"]["ports"]} <= ports


def test_network_policies_speak_of_ports_and_pods_that_there_are(
    objects: tuple[Object, ...],
) -> None:
    templates = [one["spec"]["template"] for one in of_kind(objects, "Deployment").values()]
    for policy in of_kind(objects, "NetworkPolicy").values():
        chosen = policy["spec"]["podSelector"].get("matchLabels", {}).items()
        selected = [one for one in templates if chosen <= one["metadata"]["labels"].items()]
        assert selected
        ports = {
            port["name"]
            for one in selected
            for container in one["spec"]["containers"]
            for port in container["ports"]
        }
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= ports
