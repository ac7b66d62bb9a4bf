"""The add-ons of a real cluster: DNS, a storage class, and cert-manager."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tradingbot_dev.product import manifests

from tradingbot_node.binaries import NODE, Binaries
from tradingbot_node.containerd import Containerd
from tradingbot_node.host.places import NODE_NAME
from tradingbot_node.images.archive import write_image

MANIFESTS = NODE / "manifests"
COREDNS = "localhost/coredns:node"
CERT_MANAGER = "localhost/cert-manager:node"
DEPLOYMENTS = {
    "kube-system": ("coredns",),
    "cert-manager": ("cert-manager", "cert-manager-cainjector", "cert-manager-webhook"),
}
ISSUER = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Issuer",
    "metadata": {"name": "probe", "namespace": "default"},
    "spec": {"selfSigned": {}},
}
"""The smallest object that cert-manager's webhook accepts."""

VOLUMES = 9
"""The number of claims that can be bound in the life of a node."""

Apply = Callable[[str], None]


def import_images(containerd: Containerd, binaries: Binaries, *, directory: Path) -> None:
    """Create the images of the add-ons, and import them into containerd."""
    for name, programs in (
        (COREDNS, (binaries.coredns,)),
        (
            CERT_MANAGER,
            (
                binaries.cert_manager_controller,
                binaries.cert_manager_cainjector,
                binaries.cert_manager_webhook,
            ),
        ),
    ):
        archive = directory / "image.tar"
        write_image(archive, name=name, programs={path.name: path for path in programs})
        containerd.import_image(archive)
        archive.unlink()


def install(apply: Apply, binaries: Binaries, *, volumes: Path) -> None:
    """Apply the manifests of the add-ons. `volumes` is the directory of the local volumes."""
    apply((MANIFESTS / "coredns.yaml").read_text())
    apply(manifests.text(storage(volumes)))
    apply(binaries.cert_manager_crds.read_text())
    apply((MANIFESTS / "cert-manager.yaml").read_text())


def storage(directory: Path) -> list[dict[str, Any]]:
    """Return a default StorageClass and volumes of the type `local`.

    Of the types without a driver, the kubelet applies a pod's fsGroup to `local` alone. The volumes
    are created in advance: a provisioner that creates them on demand (rancher's, as in kind) needs
    a pod and an image with a shell for each, and is not tested here.
    """
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "local",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
        *map(functools.partial(_volume, directory), range(VOLUMES)),
    ]


def _volume(directory: Path, number: int) -> dict[str, Any]:
    path = directory / str(number)
    path.mkdir(parents=True, exist_ok=True)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"local-{number}"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "local",
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
