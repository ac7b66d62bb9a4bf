"""The directory, the network namespace and the addresses of the node. A machine has one node, which
a test may give a second one.
"""

from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path("/var/lib/tradingbot-node")
"""Everything that the node writes. It is removed with the node."""

LOCK = Path("/run/tradingbot-node.lock")
NODE_NAME = "tradingbot-node"
NAMESPACE = "tradingbot-node"
"""The network namespace of the control plane, the kubelet and the pods' veth pairs."""

CGROUP = "tradingbot-node"
"""The control group of all pods and of nothing else, so that they are found after a crash."""

CABLE = "tb-node"
"""The machine's end of the veth pair to the namespace."""

# From the range that RFC 2544 reserves for tests, so that no other network uses it.
MACHINE_IP = "198.18.0.1"
NODE_IP = "198.18.0.2"
PREFIX = 30
# Used inside the namespace only.
PODS, SPARE_PODS = "10.244.0.0/24", "10.244.1.0/24"
SERVICES = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"

NO_PROXY = ",".join(["127.0.0.1", "localhost", NODE_IP, PODS, SPARE_PODS, SERVICES, ".svc"])


@dataclass(frozen=True)
class Place:
    """What tells two nodes in the one network namespace apart."""

    name: str
    pods: str
    """The addresses of its pods."""
    port: int
    """Of its kubelet."""
    cgroup: str
    suffix: str
    """Behind the names of its programs."""


FIRST = Place(NODE_NAME, PODS, 10250, CGROUP, "")
SPARE = Place(f"{NODE_NAME}-spare", SPARE_PODS, 10270, f"{CGROUP}/spare", "-spare")
