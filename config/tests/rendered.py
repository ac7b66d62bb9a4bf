"""What is installed, as kustomize and Helm render it."""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from tradingbot_dev.control_plane.plane import kubectl_path
from tradingbot_dev.toolchain.helm import find_helm

CONFIG = Path(__file__).parents[1]
CHART = CONFIG.parent / "charts" / "tradingbot-operator"
NAMESPACE = "tradingbot-system"
RELEASE = "tradingbot"
# Of the API server, whose version a chart may ask for. There is none where it is only rendered.
KUBERNETES = "1.37.0"

Object = dict[str, Any]


@cache
def kustomized(*bases: str) -> tuple[Object, ...]:
    """Return the objects of an overlay of these directories of config/. Do not change them."""
    with TemporaryDirectory() as folder:
        overlay: Object = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
        }
        for one in bases:
            kind = yaml.safe_load((CONFIG / one / "kustomization.yaml").read_text("utf-8"))["kind"]
            part = overlay.setdefault("components" if kind == "Component" else "resources", [])
            # Absolute ones it refuses.
            part.append(os.path.relpath(CONFIG / one, Path(folder).resolve()))
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return loaded(_output([kubectl_path(), "kustomize", folder]))


def charted(values: Mapping[str, Any], *, namespace: str = NAMESPACE) -> tuple[Object, ...]:
    """What the chart installs with these values."""
    shown = helm(
        *("template", RELEASE, str(CHART), "--namespace", namespace),
        *("--kube-version", KUBERNETES),
        values=values,
    )
    assert shown.returncode == 0, shown.stderr
    return loaded(shown.stdout)


def helm(
    *arguments: str, values: Mapping[str, Any] | None = None, kubeconfig: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs Helm, which keeps nothing on this machine."""
    with TemporaryDirectory() as home:
        return subprocess.run(
            [str(find_helm()), *arguments, *(() if values is None else ("--values", "-"))],
            input="" if values is None else json.dumps(values),
            env={"HOME": home, "KUBECONFIG": str(kubeconfig or Path(home) / "none")},
            capture_output=True,
            text=True,
            check=False,
        )


def loaded(text: str) -> tuple[Object, ...]:
    # libyaml's, where PyYAML has it: the definitions are long.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(one for one in yaml.load_all(text, loader) if one)


def of_kind(objects: Iterable[Object], kind: str) -> dict[str, Object]:
    """Those of this kind, by their names, which no two of them have in different namespaces."""
    found = [one for one in objects if one["kind"] == kind]
    named = {one["metadata"]["name"]: one for one in found}
    assert len(named) == len(found)
    return named


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
