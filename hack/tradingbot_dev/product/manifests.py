"""The manifests of `config/` that are installed into the local cluster: those that need no pods.

The processes run on this machine, so Deployments and Services are left out, and the API server
calls the webhooks by URL. Everything else, RBAC above all, is the same as in a real cluster.
"""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
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
    "Secret",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
)
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


@dataclass(frozen=True)
class Manifests:
    """The rendered overlay. `webhooks` must not be installed before their server runs."""

    installed: tuple[Manifest, ...]
    webhooks: tuple[Manifest, ...]

    @classmethod
    def render(cls, kustomize: Callable[[Path], str]) -> "Manifests":
        """Render the overlay. `kustomize` renders a directory, as `kubectl kustomize` does."""
        rendered = [manifest for manifest in yaml.load_all(kustomize(OVERLAY), _LOADER) if manifest]
        return cls(
            installed=tuple(manifest for manifest in rendered if manifest["kind"] in _INSTALLED),
            webhooks=tuple(manifest for manifest in rendered if manifest["kind"] in _WEBHOOKS),
        )

    def webhooks_at(self, url: str, *, ca: bytes) -> tuple[Manifest, ...]:
        """Return the webhook configurations with this `url` (no path) and PEM bundle."""
        return tuple(_reached_by_url(webhook, url, ca) for webhook in self.webhooks)

    @property
    def crd_paths(self) -> tuple[str, ...]:
        """The paths at which the API server lists each custom resource, once it serves them."""
        return tuple(
            f"/apis/{crd['spec']['group']}/{version['name']}/{crd['spec']['names']['plural']}"
            for crd in self.installed
            if crd["kind"] == "CustomResourceDefinition"
            for version in crd["spec"]["versions"]
        )


# libyaml's classes if PyYAML has them: the pure Python ones take half a second for the CRDs.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def text(manifests: Iterable[Manifest]) -> str:
    return str(yaml.dump_all(manifests, Dumper=_DUMPER, sort_keys=False))


def load(path: Path) -> Manifest:
    """Return the object of a manifest file that has one."""
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
