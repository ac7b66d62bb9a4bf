"""The rules of a stored NetworkPolicy, enforced for one pod.

The node's network (the CNI plugin `ptp`) enforces no NetworkPolicy. For a test, nftables do so: of
the policy as it is stored, they drop what a network that enforces policies would drop. As there,
the node itself always reaches its pods.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from installation import Installation
from person import Object
from tradingbot_node.host.netns import ENTER

FAMILY = "inet"


@contextmanager
def enforced(policy: Object, pod: Object, product: Installation) -> Iterator[None]:
    """Enforce the policy for a pod that it selects."""
    labels = pod["metadata"]["labels"].items()
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    address = pod["status"]["podIP"]
    table = f"policy-{pod['metadata']['namespace']}"
    rules = [
        "ct state established,related accept",
        *_ingress(policy, address, product),
        f"ip daddr {address} drop",
        *_egress(policy, address, product),
        f"ip saddr {address} drop",
    ]
    chains = "".join(
        f"chain {hook} {{ type filter hook {hook} priority 10; {'; '.join(rules)}; }}\n"
        # To other pods, and to addresses of the node.
        for hook in ("forward", "input")
    )
    _nft("-f", "-", stdin=f"table {FAMILY} {table} {{\n{chains}}}\n")
    try:
        yield
    finally:
        _nft("delete", "table", FAMILY, table)


def _ingress(policy: Object, address: str, product: Installation) -> Iterator[str]:
    for rule in policy["spec"]["ingress"]:
        sources = _addresses(rule["from"], policy, product)
        for port in rule["ports"]:
            yield f"ip saddr {sources} ip daddr {address} {_port(port)} accept"


def _egress(policy: Object, address: str, product: Installation) -> Iterator[str]:
    for rule in policy["spec"]["egress"]:
        peers = rule.get("to")
        targets = f"ip daddr {_addresses(peers, policy, product)} " if peers else ""
        for port in rule["ports"]:
            yield f"ip saddr {address} {targets}{_port(port)} accept"


def _addresses(peers: list[Object], policy: Object, product: Installation) -> str:
    """The set of the addresses of the pods that peers select now."""
    found = set()
    for peer in peers:
        assert peer.keys() <= {"namespaceSelector", "podSelector"}, peer
        namespaces = [policy["metadata"]["namespace"]]
        if "namespaceSelector" in peer:
            listed = product.objects("namespaces", *_selected(peer["namespaceSelector"]))
            namespaces = [namespace["metadata"]["name"] for namespace in listed]
        for namespace in namespaces:
            pods = product.objects("pods", "-n", namespace, *_selected(peer.get("podSelector")))
            found |= {pod["status"]["podIP"] for pod in pods if "podIP" in pod["status"]}
    return f"{{ {', '.join(found)} }}"


def _selected(selector: Object | None) -> tuple[str, ...]:
    labels = (selector or {}).get("matchLabels", {}).items()
    return ("-l", ",".join(f"{key}={value}" for key, value in labels)) if labels else ()


def _port(port: Object) -> str:
    return f"{port['protocol'].lower()} dport {port['port']}"


def _nft(*arguments: str, stdin: str | None = None) -> None:
    command = [*ENTER, "nft", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
