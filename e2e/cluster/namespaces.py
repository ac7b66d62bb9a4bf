"""Namespaces of tests on the node, with as few processes of kubectl as possible."""

from collections.abc import Iterator
from contextlib import contextmanager

from person import Person
from reads import delete_all
from tradingbot_node.cluster import Node

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@contextmanager
def restricted_namespace(node: Node, name: str) -> Iterator[Person]:
    """Give somebody a namespace of their own, restricted as strictly as can be."""
    metadata = {"name": name, "labels": RESTRICTED}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    created = node.plane.client.post("/api/v1/namespaces", body)
    assert created is not None, "the API server does not answer"
    assert created.status == 201, created.body
    yield Person(node, name)  # type: ignore[arg-type]  # it needs a `plane` only
    delete_all(node.plane, name, "tradingbot,assetregistry")
    node.kubectl("delete", "namespace", name, "--wait=false")
