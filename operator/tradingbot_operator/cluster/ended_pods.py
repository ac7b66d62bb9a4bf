"""Whether the risk gateway in a pod has certainly ended: the kubelet has reported its end.

A pod that is gone from the API server need not have ended: its node may be lost, and it may have
been deleted by force. Nor is the phase `Failed` enough, which the garbage collector of pods writes
without asking the node. Only the kubelet writes that a container has terminated, and it does so
before it lets a pod be removed.
"""

from tradingbot_api.gateway_pod import CONTAINER
from tradingbot_api.model import JsonObject

from tradingbot_operator.cluster.reading.untrusted import mapping, mappings

FINISHED = frozenset({"Succeeded", "Failed"})


def gateway_has_ended(pod: JsonObject) -> bool:
    """Return whether the kubelet has reported the end of the pod, and of its gateway."""
    status = mapping(pod.get("status"))
    return status.get("phase") in FINISHED and any(
        container.get("name") == CONTAINER and "terminated" in mapping(container.get("state"))
        for container in mappings(status.get("initContainerStatuses"))
    )
