"""Alerts and scraping for the Prometheus operator, and the page that explains them."""

import re

import pytest
from exposed_metrics import Family, exposed
from rendered import CONFIG, Object, kustomized, of_kind
from tradingbot_operator.bots.status.phase import PHASE_OF_STOP, STOPPING, TERMINATING

DOCS = CONFIG.parent / "docs"
PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")
SECTIONS = {
    "operator": "The operator",
    "webhooks": "The webhooks",
    "certs": "The certificates, without cert-manager",
    "registry": "The registry",
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


def test_an_installation_without_the_prometheus_operator_has_none_of_it() -> None:
    versions = {one["apiVersion"] for one in (*kustomized("default"), *kustomized("selfsigned"))}
    assert not any(version.startswith("monitoring.coreos.com") for version in versions)
