"""What is installed into the local cluster: the manifests of `config/`, less what runs as pods.

The processes run on this machine, so Deployments and Services stay out, and the API server is
told to reach the webhooks by URL. All else, RBAC above all, is what a real cluster gets.
"""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = ROOT / "hack" / "control-plane" / "manifests"
SAMPLES = ROOT / "config" / "samples"
SAMPLE_BOT = SAMPLES / "tradingbot.yaml"
SAMPLE_SECRET = SAMPLES / "secret.yaml"
SAMPLE_REGISTRY = SAMPLES / "assetregistry.yaml"

Manifest = dict[str, Any]

_INSTALLED = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
)
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


@dataclass(frozen=True)
class Manifests:
    """The rendered overlay, in two parts: the second must not be there before its server is."""

    installed: tuple[Manifest, ...]
    webhooks: tuple[Manifest, ...]

    @classmethod
    def render(cls, kustomize: Callable[[Path], str]) -> "Manifests":
        """`kustomize` renders a folder, as `kubectl kustomize` does."""
        rendered = [one for one in yaml.load_all(kustomize(OVERLAY), _LOADER) if one]
        return cls(
            installed=tuple(one for one in rendered if one["kind"] in _INSTALLED),
            webhooks=tuple(one for one in rendered if one["kind"] in _WEBHOOKS),
        )

    def webhooks_at(self, url: str, *, ca: bytes) -> tuple[Manifest, ...]:
        """The webhook configurations, calling `url` (no path) and trusting this PEM bundle."""
        return tuple(_reached_by_url(one, url, ca) for one in self.webhooks)

    @property
    def crd_paths(self) -> tuple[str, ...]:
        """Where the API server lists each custom resource, once it serves it."""
        return tuple(
            f"/apis/{one['spec']['group']}/{version['name']}/{one['spec']['names']['plural']}"
            for one in self.installed
            if one["kind"] == "CustomResourceDefinition"
            for version in one["spec"]["versions"]
        )


# libyaml's, where PyYAML has it: the CRDs are long, and Python's own takes half a second.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def text(manifests: Iterable[Manifest]) -> str:
    return str(yaml.dump_all(manifests, Dumper=_DUMPER, sort_keys=False))


def load(path: Path) -> Manifest:
    """The one object of a manifest file."""
    loaded: Manifest = yaml.load(path.read_text(), _LOADER)
    return loaded


def _reached_by_url(configuration: Manifest, url: str, ca: bytes) -> Manifest:
    bundle = base64.b64encode(ca).decode()
    webhooks = [
        {
            **webhook,
            "clientConfig": {
                "url": url + webhook["clientConfig"]["service"]["path"],
                "caBundle": bundle,
            },
        }
        for webhook in configuration["webhooks"]
    ]
    return {**configuration, "webhooks": webhooks}
