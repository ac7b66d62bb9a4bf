"""Where the node is: its folder, its network namespace, its addresses. One node on a machine."""

from pathlib import Path

FOLDER = Path("/var/lib/tradingbot-node")
"""All that the node writes. Whatever is in it belongs to the node, and goes with it."""

LOCK = Path("/run/tradingbot-node.lock")
NODE_NAME = "tradingbot-node"
NAMESPACE = "tradingbot-node"
"""Of the network. The control plane, the kubelet and the pods' ends of the cables are in it."""

CGROUP = "tradingbot-node"
"""Below it are the pods, and nothing else: so they are found again after a crash."""

CABLE = "tb-node"
"""The machine's end of the cable to the namespace."""

# From the range that RFC 2544 sets aside for tests, so it is in use nowhere else.
MACHINE_IP = "198.18.0.1"
NODE_IP = "198.18.0.2"
PREFIX = 30
# Known inside the namespace only.
PODS = "10.244.0.0/24"
SERVICES = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"

NO_PROXY = ",".join(["127.0.0.1", "localhost", NODE_IP, PODS, SERVICES, ".svc"])
