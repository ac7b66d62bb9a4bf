"""`kubectl port-forward`, as a user reaches what listens inside the cluster."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tradingbot_dev.control_plane.plane import kubectl_path
from tradingbot_node.cluster import Node


@contextmanager
def forwarded(node: Node, namespace: str, what: str, port: int) -> Iterator[int]:
    """Forward a free port of this machine to a port of a pod or Service, and yield it."""
    command = [kubectl_path(), "-n", namespace, "port-forward", what, f":{port}"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "KUBECONFIG": str(node.kubeconfig)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        # Forwarding from 127.0.0.1:40123 -> 8090
        line = process.stdout.readline()
        assert line.startswith("Forwarding from 127.0.0.1:"), line
        yield int(line.split(":")[1].split()[0])
    finally:
        process.kill()
        process.communicate()
