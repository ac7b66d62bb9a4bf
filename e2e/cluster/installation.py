"""The product in a cluster as a user has it there: installed, asked, replaced, removed."""

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import yaml
from person import Object, eventually, sample_bot
from port_forward import forwarded
from reads import read_items
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE
from tradingbot_node.cluster import Node
from tradingbot_node.host.netns import ENTER

CONFIG = Path(__file__).parents[2] / "config"
IMAGE = "tradingbot-operator"
WEBHOOKS = "tradingbot-webhooks"
REGISTRY_NAME = f"tradingbot-registry.{SYSTEM_NAMESPACE}.svc"
REGISTRY_AUDIENCE = "tradingbot-registry"
MINUTES = 3
PART_OF = "app.kubernetes.io/name=tradingbot-operator"
# They come and go by themselves.
_FLEETING = (
    *("events", "leases", "endpoints", "endpointslices", "pods", "replicasets"),
    # The API server looks for those of Services that are gone every few minutes.
    "ipaddresses",
)
_FLEETING_GROUPS = ("events.k8s.io",)


@dataclass(frozen=True)
class Installation:
    """The product on a node. `overlays` is a directory for a user's overlays."""

    node: Node
    overlays: Path

    def install(
        self, way: str, *, tag: str | None = None, components: tuple[str, ...] = ()
    ) -> None:
        """As docs/install.md has it, `way` being `default` or `selfsigned`; returns when it works.

        `tag` is another than the release's, `components` are optional directories of config/.
        """
        folder = self._folder(way, tag, components)
        eventually(lambda: self._applied(folder))
        self.node.kubectl(
            *("-n", SYSTEM_NAMESPACE, "wait", "--for=condition=Available"),
            *("deployment", "--all", f"--timeout={MINUTES}m"),
            check=True,
        )
        for deployment in self.deployments():
            self._await_rollout(deployment["metadata"]["name"])
        eventually(self._admits)

    def _applied(self, folder: Path) -> bool:
        """Apply, as a user would again where cert-manager's webhook has not answered in time."""
        done = self.node.kubectl("apply", "--server-side", "-k", str(folder))
        assert done.returncode == 0, done.stderr
        return True

    def _admits(self) -> bool:
        """Whether the API server reaches the webhooks and trusts them.

        It comes to know of a Service's endpoints and of a `caBundle` moments after they are there.
        """
        bot = yaml.safe_dump(sample_bot())
        done = self.node.kubectl("apply", "--dry-run=server", "-f", "-", stdin=bot)
        assert done.returncode == 0, done.stderr
        return True

    def scale_webhooks(self, replicas: int) -> None:
        """Return when there are that many, and the API server reaches them if there are any.

        The replicas that end still answer for some seconds.
        """
        scale = ("-n", SYSTEM_NAMESPACE, "scale", f"deployment/{WEBHOOKS}")
        self.node.kubectl(*scale, f"--replicas={replicas}", check=True)
        self._await_rollout(WEBHOOKS)
        if replicas:
            eventually(self._admits)

    def _await_rollout(self, deployment: str) -> None:
        self.node.kubectl(
            *("-n", SYSTEM_NAMESPACE, "rollout", "status", f"--timeout={MINUTES}m"),
            f"deployment/{deployment}",
            check=True,
        )

    def uninstall(self, way: str, *, components: tuple[str, ...] = ()) -> None:
        """In the order that docs/install.md gives."""
        everything = ("tradingbots,assetregistries", "--all", "--all-namespaces")
        self.node.kubectl("delete", *everything, f"--timeout={MINUTES}m", check=True)
        folder = str(self._folder(way, None, components))
        self.node.kubectl("delete", "-k", folder, f"--timeout={MINUTES}m", check=True)

    def deployments(self) -> list[Object]:
        return list(read_items(self.node.plane, SYSTEM_NAMESPACE, "deployments"))

    def pods(self, component: str) -> list[Object]:
        """The component's pods that are not on their way out."""
        label = f"{PART_OF},app.kubernetes.io/component={component}"
        found = read_items(self.node.plane, SYSTEM_NAMESPACE, "pods", labels=label)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def objects(self, *what: str) -> list[Object]:
        done = self.node.kubectl("get", *what, "-o", "json", check=True)
        return list(json.loads(done.stdout)["items"])

    def object(self, *what: str) -> Object:
        done = self.node.kubectl("get", *what, "-o", "json", check=True)
        return dict(json.loads(done.stdout))

    def token(self, account: str, *, namespace: str = SYSTEM_NAMESPACE, audience: str = "") -> str:
        """A token of a ServiceAccount, as one that got hold of it would have.

        Without an audience it is for the API server.
        """
        extra = (f"--audience={audience}",) if audience else ()
        done = self.node.kubectl("-n", namespace, "create", "token", account, *extra, check=True)
        return done.stdout.strip()

    def ask_registry(self, path: str, *, token: str | None) -> tuple[int, Any]:
        """Status and JSON of `GET /api/v1/PATH`, through `kubectl port-forward`.

        Its certificate is verified by the CA that the operator trusts, for the name it asks for.
        """
        secret = self.object("secret", "tradingbot-registry-tls", "-n", SYSTEM_NAMESPACE)
        authority = base64.b64decode(secret["data"]["ca.crt"]).decode()
        context = ssl.create_default_context(cadata=authority)
        registry = "service/tradingbot-registry"
        with forwarded(self.node, SYSTEM_NAMESPACE, registry, 8090) as port:
            connection = HTTPSConnection("127.0.0.1", port, timeout=20)
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            try:
                raw = socket.create_connection(("127.0.0.1", port), 20)
                connection.sock = context.wrap_socket(raw, server_hostname=REGISTRY_NAME)
                connection.request("GET", f"/api/v1/{path}", headers=headers)
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read() or b"null")
            finally:
                connection.close()

    def served_certificate(self, pod: Object) -> bytes:
        """The certificate (DER) that this webhook pod shows to a client that connects now."""
        look = "import ssl, sys; print(ssl.get_server_certificate((sys.argv[1], 9443), timeout=5))"
        command = (*ENTER, sys.executable, "-c", look, pod["status"]["podIP"])
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return ssl.PEM_cert_to_DER_cert(done.stdout)

    def _folder(self, way: str, tag: str | None, components: tuple[str, ...]) -> Path:
        if tag is None and not components:
            return CONFIG / way
        folder = self.overlays / "-".join((way, tag or "", *components))
        folder.mkdir(exist_ok=True)
        overlay = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(CONFIG / way, folder)],
            "components": [os.path.relpath(CONFIG / one, folder) for one in components],
            "images": [{"name": IMAGE, "newTag": tag}] if tag else [],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return folder


def inventory(node: Node) -> frozenset[str]:
    """`kind.group/namespace/name` of every object that is there to stay."""
    listed = node.kubectl("api-resources", "--verbs=list", "-o", "name", check=True)
    kinds = [
        kind
        for kind in listed.stdout.split()
        if kind.split(".")[0] not in _FLEETING and not kind.endswith(_FLEETING_GROUPS)
    ]
    done = node.kubectl(
        *("get", ",".join(kinds), "--all-namespaces", "--ignore-not-found"),
        *("-o", "json"),
        check=True,
    )
    return frozenset(map(_path, json.loads(done.stdout)["items"]))


def _path(one: Object) -> str:
    metadata = one["metadata"]
    return f"{one['kind']} {one['apiVersion']} {metadata.get('namespace', '')}/{metadata['name']}"


def restarts(pods: list[Object]) -> dict[str, int]:
    """How often each pod's containers were restarted, by the pod's uid."""
    return {
        pod["metadata"]["uid"]: sum(
            one["restartCount"] for one in pod["status"].get("containerStatuses", [])
        )
        for pod in pods
    }


def await_ready(installation: Installation, namespace: str) -> None:
    """Until all pods of a namespace are ready, and there is one."""

    def look() -> bool:
        pods = list(read_items(installation.node.plane, namespace, "pods"))
        return bool(pods) and all(map(is_ready, pods))

    eventually(look)


def is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
