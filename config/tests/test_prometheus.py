"""Alerts and scraping for the Prometheus operator, and the page that explains them."""

import re
from datetime import UTC, datetime

import pytest
import yaml
from exposed_metrics import Family, exposed
from rendered import CONFIG, Object, kustomized, of_kind
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.gateway import GatewayImage
from tradingbot_operator.bots.children.manifests import pod_template
from tradingbot_operator.bots.children.surroundings import Surroundings
from tradingbot_operator.bots.status.phase import PHASE_OF_STOP, STOPPING, TERMINATING

DOCS = CONFIG.parent / "docs"
PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")
SECTIONS = {
    "operator": "The operator",
    "webhooks": "The webhooks",
    "certs": "The certificates, without cert-manager",
    "registry": "The registry",
    "gateway": "The gateways",
}
ROW = re.compile(r"^\| `(tradingbot_\w+)` \| (\w+) \| ?(.*?) ?\| .+ \|$", re.MULTILINE)
PHASES = {TERMINATING, STOPPING, *PHASE_OF_STOP.values(), "Pending", "Degraded", "Running"}
SEVERITIES = {"critical": "**Critical", "warning": "**Warning"}

PROMETHEUS = kustomized("prometheus")
MONITORS = of_kind(PROMETHEUS, "ServiceMonitor")
RULES: list[Object] = [
    rule
    for one in PROMETHEUS
    if one["kind"] == "PrometheusRule"
    for group in one["spec"]["groups"]
    for rule in group["rules"]
]


def metrics_named(rule: Object) -> set[str]:
    return set(re.findall(r"\btradingbot_\w+", rule["expr"]))


def by_name(rule: Object) -> str:
    return str(rule["alert"])


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_an_alert_asks_only_for_metrics_that_there_are(rule: Object) -> None:
    series = {name for families in exposed().values() for one in families for name in one.series}
    assert metrics_named(rule)
    assert metrics_named(rule) <= series


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_an_alert_asks_only_for_labels_that_its_metrics_have(rule: Object) -> None:
    families = {name: one for all_ in exposed().values() for one in all_ for name in one.series}
    for name, selector in re.findall(r"\b(tradingbot_\w+)\{([^}]*)\}", rule["expr"]):
        assert set(re.findall(r"(\w+)\s*(?:!=|=~?)", selector)) <= {*families[name].labels}
    for phases in re.findall(r'phase=~?"([^"]*)"', rule["expr"]):
        assert set(phases.split("|")) <= PHASES


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_an_alert_says_what_is_wrong_and_where_to_read_what_to_do(rule: Object) -> None:
    notes = rule["annotations"]
    assert notes["summary"]
    assert notes["description"]
    assert notes["summary"] != notes["description"]
    assert notes["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
    section = re.search(rf"^### {rule['alert']}\n(.*)", PAGE, re.MULTILINE)
    assert section is not None
    assert section[1].startswith(SEVERITIES[rule["labels"]["severity"]])


def test_every_alert_is_named_once_and_every_section_is_of_one() -> None:
    names = [by_name(rule) for rule in RULES]
    assert names == re.findall(r"^### (TradingBot\w+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("process", SECTIONS)
def test_the_page_has_every_metric_with_its_type_and_labels_and_no_other(process: str) -> None:
    part = PAGE.split(f"\n### {SECTIONS[process]}\n")[1]
    table = re.split(r"^##+ ", part, flags=re.MULTILINE)[0]
    listed = [
        Family(name, type_, tuple(re.findall(r"`(\w+)`", labels)))
        for name, type_, labels in ROW.findall(table)
    ]
    assert len(listed) == len(set(listed))
    assert set(listed) == exposed()[process]


def test_each_pod_that_is_installed_is_scraped_once_at_a_port_that_it_has() -> None:
    objects = kustomized("selfsigned", "prometheus")
    pods = {name: one["spec"]["template"] for name, one in of_kind(objects, "Deployment").items()}
    services = [one for one in objects if one["kind"] == "Service"]
    scraped = []
    for monitor in MONITORS.values():
        (endpoint,) = monitor["spec"]["endpoints"]
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        for service in services:
            ports = {one["name"]: one["targetPort"] for one in service["spec"]["ports"]}
            if wanted <= service["metadata"]["labels"].items() and endpoint["port"] in ports:
                for name, pod in pods.items():
                    if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items():
                        (container,) = pod["spec"]["containers"]
                        declared = {port["name"] for port in container["ports"]}
                        assert ports[endpoint["port"]] in declared
                        scraped.append(name)
    assert sorted(scraped) == sorted(pods)


def test_a_bots_figures_keep_the_namespace_of_the_bot() -> None:
    (endpoint,) = MONITORS["tradingbot-operator"]["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True


@pytest.mark.parametrize(("enforcement", "scraped"), [("Gateway", ["gateway"]), ("Bot", [])])
def test_of_the_pod_of_a_bot_the_gateway_alone_is_scraped(
    enforcement: str, scraped: list[str]
) -> None:
    (monitor,) = kustomized("gateway-metrics")
    assert monitor["kind"] == "PodMonitor"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    template = template_of_a_bot(enforcement)
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= template["metadata"]["labels"].items()
    pod = template["spec"]
    found = [
        container["name"]
        for container in (*pod.get("initContainers", ()), *pod["containers"])
        for port in container.get("ports", ())
        if port["name"] == endpoint["port"] and kept(endpoint, container["name"])
    ]
    assert found == scraped
    assert monitor["spec"]["namespaceSelector"] == {"any": True}


def kept(endpoint: Object, container: str) -> bool:
    """Whether Prometheus keeps the port of a container as a target."""
    (rule,) = (each for each in endpoint["relabelings"] if each.get("action") == "keep")
    assert rule["sourceLabels"] == ["__meta_kubernetes_pod_container_name"]
    return re.fullmatch(rule["regex"], container) is not None


def template_of_a_bot(enforcement: str) -> Object:
    """The pod template that the operator makes of the sample."""
    body = yaml.safe_load((CONFIG / "samples" / "tradingbot.yaml").read_text(encoding="utf-8"))
    body["metadata"] |= {"namespace": "desk", "uid": "uid-arb", "generation": 1}
    body["spec"]["riskManagement"]["enforcement"] = enforcement
    bot = Bot.read(body, now=datetime(2026, 3, 1, tzinfo=UTC))
    assert bot.spec is not None
    surroundings = Surroundings(gateway=GatewayImage("registry.example/operator:1", {}))
    template, _ = pod_template(bot, bot.spec, "1", surroundings)
    return dict(template)


def test_an_installation_without_the_prometheus_operator_has_none_of_it() -> None:
    versions = {one["apiVersion"] for one in (*kustomized("default"), *kustomized("selfsigned"))}
    assert not any(version.startswith("monitoring.coreos.com") for version in versions)
