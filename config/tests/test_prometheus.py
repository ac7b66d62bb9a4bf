"""Alerts and scraping for the Prometheus operator, and the page that explains them."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from exposed_metrics import Family, exposed
from tradingbot_dev.controlplane import kubectl_path
from tradingbot_operator.status import PHASE_OF_STOP, TERMINATING

CONFIG = Path(__file__).parents[1]
DOCS = CONFIG.parent / "docs"
PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")
SECTIONS = {
    "operator": "The operator",
    "webhooks": "The webhooks",
    "certs": "The certificates, without cert-manager",
    "registry": "The registry",
}
ROW = re.compile(r"^\| `(tradingbot_\w+)` \| (\w+) \| ?(.*?) ?\| .+ \|$", re.MULTILINE)
PHASES = {TERMINATING, *PHASE_OF_STOP.values(), "Pending", "Degraded", "Running"}
SEVERITIES = {"critical": "**Critical", "warning": "**Warning"}

Object = dict[str, Any]


def rendered(folder: str) -> list[Object]:
    command = [kubectl_path(), "kustomize", str(CONFIG / folder)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return list(yaml.safe_load_all(shown))


PROMETHEUS = rendered("prometheus")
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
    pods = {
        one["metadata"]["name"]: one["spec"]["template"]
        for one in rendered("selfsigned")
        if one["kind"] == "Deployment"
    }
    scraped = []
    for monitor in PROMETHEUS:
        if monitor["kind"] != "PodMonitor":
            continue
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        for name, pod in pods.items():
            if wanted <= pod["metadata"]["labels"].items():
                (container,) = pod["spec"]["containers"]
                assert endpoint["port"] in {port["name"] for port in container["ports"]}
                scraped.append(name)
    assert sorted(scraped) == sorted(pods)


def test_a_bots_figures_keep_the_namespace_of_the_bot() -> None:
    (monitor,) = (
        one
        for one in PROMETHEUS
        if one["kind"] == "PodMonitor" and one["metadata"]["name"] == "tradingbot-operator"
    )
    assert monitor["spec"]["podMetricsEndpoints"][0]["honorLabels"] is True


def test_an_installation_without_the_prometheus_operator_has_none_of_it() -> None:
    kinds = {one["apiVersion"] for folder in ("default", "selfsigned") for one in rendered(folder)}
    assert not any(kind.startswith("monitoring.coreos.com") for kind in kinds)
