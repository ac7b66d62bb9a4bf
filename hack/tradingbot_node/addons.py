"""What every real cluster has beside the product: DNS, a storage class, and cert-manager."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tradingbot_dev import manifests

from tradingbot_node.archive import write_image
from tradingbot_node.binaries import NODE, Binaries
from tradingbot_node.containerd import Containerd
from tradingbot_node.places import NODE_NAME

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
"""The least of what cert-manager is asked for."""

VOLUMES = 8
"""How many claims can be met in the life of a node."""

Apply = Callable[[str], None]


def import_images(containerd: Containerd, binaries: Binaries, *, folder: Path) -> None:
    """Makes the add-ons' images, and gives them to containerd."""
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
        archive = folder / "image.tar"
        write_image(archive, name=name, programs={path.name: path for path in programs})
        containerd.import_image(archive)
        archive.unlink()


def install(apply: Apply, binaries: Binaries, *, volumes: Path) -> None:
    """Applies their manifests. `volumes` is the folder of the local volumes."""
    apply((MANIFESTS / "coredns.yaml").read_text())
    apply(manifests.text(storage(volumes)))
    apply(binaries.cert_manager_crds.read_text())
    apply((MANIFESTS / "cert-manager.yaml").read_text())


def storage(folder: Path) -> list[dict[str, Any]]:
    """A default class, and volumes of the kind `local`: to them alone of those that need no driver
    the kubelet applies a pod's fsGroup.

    They are made beforehand. A provisioner that makes them on demand (rancher's, as in kind) runs a
    pod with a shell for each, and so needs an image with one; and it is no part of what is tested.
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
        *map(functools.partial(_volume, folder), range(VOLUMES)),
    ]


def _volume(folder: Path, number: int) -> dict[str, Any]:
    path = folder / str(number)
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
