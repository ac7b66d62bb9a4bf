"""The Helm chart installs what config/ does: object by object, field by field."""

import json
import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from importlib.metadata import version
from itertools import product
from operator import itemgetter
from typing import Any

import pytest
import yaml
from rendered import (
    CHART,
    CONFIG,
    KUBERNETES,
    NAMESPACE,
    Object,
    charted,
    helm,
    kustomized,
    of_kind,
)

HELMS_OWN = {"app.kubernetes.io/managed-by", "helm.sh/chart", "helm.sh/resource-policy"}
EXTRAS = ("prometheus", "gateway-metrics")
SWITCHES = [
    pytest.param(
        cert_manager,
        [extra for extra, on in zip(EXTRAS, chosen, strict=True) if on],
        id="-".join(
            (
                "cert-manager" if cert_manager else "self-signed",
                *(extra for extra, on in zip(EXTRAS, chosen, strict=True) if on),
            )
        ),
    )
    for cert_manager, *chosen in product((True, False), repeat=1 + len(EXTRAS))
]
VALUES: Object = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text("utf-8"))


def switched(cert_manager: bool, extras: Iterable[str]) -> Object:
    return {
        "createNamespace": True,
        "certManager": {"enabled": cert_manager},
        "prometheus": {
            "enabled": "prometheus" in extras,
            "gateways": "gateway-metrics" in extras,
        },
    }


def by_name(objects: Iterable[Object]) -> dict[tuple[str, str, str], Object]:
    """Without what Helm adds to each."""
    found = {}
    for one in deepcopy(list(objects)):
        metadata = one["metadata"]
        for part in ("labels", "annotations"):
            kept = {k: v for k, v in metadata.pop(part, {}).items() if k not in HELMS_OWN}
            metadata |= {part: kept} if kept else {}
        found[one["kind"], metadata.get("namespace", ""), metadata["name"]] = one
    assert len(found) == len(list(objects))
    return found


@pytest.mark.parametrize(("cert_manager", "extras"), SWITCHES)
def test_it_installs_the_same_as_kustomize(cert_manager: bool, extras: list[str]) -> None:
    folder = "default" if cert_manager else "selfsigned"
    ours = by_name(kustomized(folder, *extras))
    chart = by_name(charted(switched(cert_manager, extras)))
    assert chart.keys() == ours.keys()
    for name, one in ours.items():
        assert chart[name] == one, name


def test_a_registry_on_postgresql_is_the_same_as_with_kustomize() -> None:
    secret = "tradingbot-registry-database"
    values = {
        **switched(True, ()),
        "registry": {"replicas": 2, "postgresql": {"secretName": secret}},
    }
    ours, chart = by_name(kustomized("default", "postgresql")), by_name(charted(values))
    name = ("Deployment", NAMESPACE, "tradingbot-registry")
    for deployment in (ours[name], chart[name]):
        # A patch puts what it adds in front.
        pod = deployment["spec"]["template"]["spec"]
        pod["volumes"].sort(key=itemgetter("name"))
        pod["containers"][0]["volumeMounts"].sort(key=itemgetter("name"))
    assert chart == ours
    assert "PersistentVolumeClaim" not in {kind for kind, *_ in chart}
    (container,) = chart[name]["spec"]["template"]["spec"]["containers"]
    # What is in a Secret is in no argument.
    assert not [argument for argument in container["args"] if "database" in argument]


def test_network_policies_can_be_switched_off_and_nothing_else_differs() -> None:
    ours = [one for one in kustomized("default") if one["kind"] != "NetworkPolicy"]
    off = {**switched(True, ()), "networkPolicy": {"enabled": False}}
    assert by_name(charted(off)) == by_name(ours)


@pytest.mark.parametrize("cert_manager", [True, False])
def test_in_another_namespace_nothing_else_differs(cert_manager: bool) -> None:
    ours = json.dumps(kustomized("default" if cert_manager else "selfsigned", *EXTRAS))
    moved = json.loads(ours.replace(NAMESPACE, "desk"))
    chart = charted(switched(cert_manager, EXTRAS), namespace="desk")
    assert by_name(chart) == by_name(moved)


def test_every_object_is_known_as_helms() -> None:
    for one in charted(switched(False, EXTRAS)):
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["helm.sh/chart"] == f"tradingbot-operator-{version('tradingbot-operator')}"


def test_a_pod_is_not_made_anew_by_what_helm_adds() -> None:
    for one in of_kind(charted({}), "Deployment").values():
        assert not HELMS_OWN & set(one["spec"]["template"]["metadata"]["labels"])


def test_what_bots_and_data_hang_on_outlives_an_uninstallation() -> None:
    kept = {
        (one["kind"], one["metadata"]["name"])
        for one in charted({"createNamespace": True})
        if one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    assert kept == {
        ("CustomResourceDefinition", "tradingbots.trading.io"),
        ("CustomResourceDefinition", "assetregistries.trading.io"),
        ("Namespace", NAMESPACE),
        ("PersistentVolumeClaim", "tradingbot-registry-data"),
    }


def test_helm_install_finds_no_namespace_in_it_which_is_there_already() -> None:
    assert not of_kind(charted({}), "Namespace")


@pytest.mark.parametrize("cert_manager", [True, False])
def test_helm_has_nothing_to_say_against_it(cert_manager: bool) -> None:
    values = switched(cert_manager, EXTRAS)
    done = helm("lint", "--strict", "--kube-version", KUBERNETES, str(CHART), values=values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_chart_and_release_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    release = yaml.safe_load((CONFIG / "release/kustomization.yaml").read_text("utf-8"))
    assert chart["version"] == chart["appVersion"] == version("tradingbot-operator")
    assert release["images"][0]["newTag"] == chart["appVersion"]


# ---- the values, in three places


def leaves(values: Object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that somebody sets, by its name. Resources are set as one."""
    for key, value in values.items():
        if isinstance(value, dict) and value and key != "resources":
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def described(schema: Object, prefix: str = "") -> Iterator[str]:
    """The name of each value in the schema."""
    for key, value in schema["properties"].items():
        found = value
        if "$ref" in value:
            found = SCHEMA["definitions"][value["$ref"].rpartition("/")[2]]
        if "properties" in found and key != "resources":
            yield from described(found, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_the_schema_has_every_value_and_no_other() -> None:
    assert sorted(described(SCHEMA)) == sorted([*dict(leaves(VALUES)), "global"])


def test_the_page_has_every_value_with_its_default() -> None:
    page = (CHART / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| (.+?) \|", page, flags=re.MULTILINE)
    expected = {
        name: "see `values.yaml`" if name.endswith("resources") else f"`{json.dumps(value)}`"
        for name, value in leaves(VALUES)
    }
    assert dict(rows) == expected
    assert len(rows) == len(expected)
