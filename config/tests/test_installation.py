"""What is rendered, given to the real API server; and a life with Helm.

Webhooks and registry don't run here: of Kubernetes there is all but a node that runs pods.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rendered import CHART, CONFIG, NAMESPACE, RELEASE, Object, helm, kustomized
from tradingbot_dev.control_plane.plane import ControlPlane, temporary_control_plane
from tradingbot_dev.processes.waiting import STUCK_SECONDS, wait_until

PATIENCE = STUCK_SECONDS
NAMESPACE_FILE = CONFIG / "rbac" / "namespace.yaml"
EXTRAS = ("prometheus", "gateway-metrics")
FOREIGN = {
    "cert-manager.io": ("Certificate", "Issuer"),
    "monitoring.coreos.com": ("ServiceMonitor", "PodMonitor", "PrometheusRule"),
}
RESOURCES = ("tradingbots", "assetregistries")
DESK = "desk"
ENFORCE = "pod-security.kubernetes.io/enforce=restricted"
MANAGED_BY = "app.kubernetes.io/managed-by"
CONFIGURATION = "mutatingwebhookconfiguration/tradingbot-mutating"
VALUES = {
    "certManager": {"enabled": False},
    "prometheus": {"enabled": True, "gateways": True},
}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of its own, in which the kinds of others are defined, as any object."""
    with temporary_control_plane(audit=False) as plane:
        definitions = [definition(group, kind) for group in FOREIGN for kind in FOREIGN[group]]
        plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(definitions), check=True)
        plane.kubectl("wait", "crd", "--all", "--for=condition=Established", check=True)
        yield plane


def definition(group: str, kind: str) -> Object:
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{"name": "v1", **version}],
        },
    }


@pytest.mark.parametrize(
    "bases",
    [("default",), ("selfsigned",)],
    ids="-".join,
)
def test_the_api_server_takes_all_of_it_without_a_warning(
    plane: ControlPlane, bases: tuple[str, ...]
) -> None:
    plane.kubectl("apply", "--server-side", "-f", str(NAMESPACE_FILE), check=True)
    objects = kustomized(*bases, *EXTRAS)
    done = plane.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"),
        stdin=yaml.safe_dump_all(objects),
    )
    assert done.returncode == 0, done.stderr
    assert "arning" not in done.stderr
    assert len(done.stdout.splitlines()) == len(objects)


def test_the_namespace_takes_no_pod_that_asks_for_more_than_ours(plane: ControlPlane) -> None:
    plane.kubectl("apply", "--server-side", "-f", str(NAMESPACE_FILE), check=True)
    done = plane.kubectl("-n", NAMESPACE, "run", "a", "--image=example.com/a", "--dry-run=server")
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted:latest"' in done.stderr


# ---- with Helm


def test_a_life_with_helm(plane: ControlPlane, tmp_path: Path) -> None:
    """Installed, upgraded, removed, and installed again, in a namespace of the user's choice."""
    plane.kubectl("create", "namespace", DESK, check=True)
    assert ENFORCE in ran(plane, DESK, "install", older_chart(tmp_path))
    assert "shortNames" not in names_of_bots(plane)
    plane.kubectl("label", "namespace", DESK, ENFORCE, check=True)
    inject(plane)

    assert ENFORCE not in ran(plane, DESK, "upgrade", CHART)
    assert names_of_bots(plane)["shortNames"] == ["tbot"]
    assert injected(plane), "an upgrade took away what the certificate's manager had written"
    outlive = kept(plane)

    ran(plane, DESK, "uninstall")
    assert kept(plane) == outlive
    left = plane.kubectl("-n", DESK, "get", "deployments,services,roles", "-o", "name", check=True)
    assert left.stdout == ""

    ran(plane, DESK, "install", CHART)
    assert kept(plane) == outlive
    wait_until(lambda: pods_are_made(plane, DESK), what="pods", seconds=PATIENCE)
    ran(plane, DESK, "uninstall")


def test_helm_takes_over_what_kubectl_has_installed_and_restarts_nothing(
    plane: ControlPlane,
) -> None:
    text = yaml.safe_dump_all(kustomized("selfsigned", *EXTRAS))
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text, check=True)
    wait_until(lambda: pods_are_made(plane, NAMESPACE), what="pods", seconds=PATIENCE)
    before = deployments(plane, NAMESPACE)
    ran(plane, NAMESPACE, "install", CHART, "--take-ownership")
    after = deployments(plane, NAMESPACE)
    assert [identity(one) for one in after] == [identity(one) for one in before]
    assert all(one["metadata"]["labels"][MANAGED_BY] == "Helm" for one in after)
    ran(plane, NAMESPACE, "uninstall")


def older_chart(folder: Path) -> Path:
    """The chart before the definition of TradingBots had a short name."""
    chart = folder / CHART.name
    shutil.copytree(CHART, chart)
    template = chart / "templates" / "crd.yaml"
    text = template.read_text()
    name = "    shortNames:\n      - tbot\n"
    assert text.count(name) == 1
    template.write_text(text.replace(name, ""))
    return chart


def ran(plane: ControlPlane, namespace: str, command: str, *arguments: str | Path) -> str:
    """What Helm says of a command about the release, which succeeds."""
    done = helm(
        *(command, RELEASE, *map(str, arguments), "--namespace", namespace),
        values=None if command == "uninstall" else VALUES,
        kubeconfig=plane.kubeconfig,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(plane: ControlPlane, *what: str) -> Object:
    found: Object = json.loads(plane.kubectl("get", *what, "-o", "json", check=True).stdout)
    return found


def names_of_bots(plane: ControlPlane) -> Object:
    names: Object = read(plane, "crd", "tradingbots.trading.io")["spec"]["names"]
    return names


def inject(plane: ControlPlane) -> None:
    """A CA into a webhook configuration, as the manager of the certificate does."""
    ca = base64.b64encode(plane.pki.ca.read_bytes()).decode()
    add = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": ca}]
    plane.kubectl("patch", CONFIGURATION, "--type=json", "-p", json.dumps(add), check=True)


def injected(plane: ControlPlane) -> bool:
    return "caBundle" in read(plane, CONFIGURATION)["webhooks"][0]["clientConfig"]


def kept(plane: ControlPlane) -> list[str]:
    """The identities of the definitions and of the registry's volume."""
    volume = read(plane, "persistentvolumeclaim", "tradingbot-registry-data", "-n", DESK)
    definitions = [read(plane, "crd", f"{name}.trading.io") for name in RESOURCES]
    assert not any("deletionTimestamp" in one["metadata"] for one in (volume, *definitions))
    return [one["metadata"]["uid"] for one in (volume, *definitions)]


def deployments(plane: ControlPlane, namespace: str) -> list[Object]:
    return list(read(plane, "deployments", "-n", namespace)["items"])


def identity(deployment: Object) -> tuple[str, Object]:
    """Return a value that changes when the pods are created again."""
    return deployment["metadata"]["uid"], deployment["spec"]["template"]


def pods_are_made(plane: ControlPlane, namespace: str) -> bool:
    """Whether all pods that are wanted are there: each was admitted as `restricted`."""
    found = deployments(plane, namespace)
    return bool(found) and all(
        one.get("status", {}).get("replicas") == one["spec"]["replicas"] for one in found
    )
