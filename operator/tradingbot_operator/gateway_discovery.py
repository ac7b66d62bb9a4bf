"""Whether the cluster can run a risk gateway beside a bot, and from which image.

Read once, when an operator begins to lead: a cluster is not upgraded to another minor version
without a restart of the pods on its nodes, and an operator's image stays that of its pod.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

from tradingbot_api.gateway_pod import OLDEST_KUBERNETES, is_too_old
from tradingbot_api.model import JsonObject

from tradingbot_operator.bots.children.gateway import GatewayImage
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.cluster.reading.untrusted import mapping, mappings
from tradingbot_operator.leadership.election import own_namespace
from tradingbot_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

PAUSES = (1.0, 2.0, 4.0)
"""Seconds between two attempts to read something."""

Sleep = Callable[[float], Awaitable[None]]

_REFUSED = frozenset({401, 403})
_CONTAINER = "operator"


async def discover(
    api: KubernetesApi,
    settings: OperatorSettings,
    environment: Mapping[str, str] = os.environ,
    *,
    sleep: Sleep = asyncio.sleep,
) -> GatewayImage:
    """Return what runs as the gateway. What can't be read leaves the rest as it is.

    Without an image, bots that run are stopped. So an API server that can't answer right now is
    asked again.
    """
    version = await _read(api.server_version, sleep)
    image = settings.gateway_image
    if not image:
        image = await _read(partial(_own_image, api, environment), sleep) or ""
    return GatewayImage(
        image=image, resources=resources_of(settings), problem=too_old(version or {})
    )


async def _read(read: Callable[[], Awaitable[_T]], sleep: Sleep) -> _T | None:
    """Return what `read` returns; None if it is refused, or fails after all PAUSES too."""
    for pause in (*PAUSES, None):
        try:
            return await read()
        except (KubernetesError, ValueError) as error:
            refused = isinstance(error, KubernetesError) and error.status in _REFUSED
            if refused or pause is None:
                logger.warning("Could not read what the risk gateway needs: %s", error)
                return None
        await sleep(pause)
    return None


def resources_of(settings: OperatorSettings) -> JsonObject:
    """Return the resources of each gateway. All are set: a quota may require each of them."""
    return {
        "requests": {
            "cpu": settings.gateway_cpu_request,
            "memory": settings.gateway_memory_request,
        },
        "limits": {"cpu": settings.gateway_cpu_limit, "memory": settings.gateway_memory_limit},
    }


def too_old(version: JsonObject) -> str:
    """Return why a Kubernetes of this version can't run a gateway, empty if it can."""
    major, minor = (str(version.get(name, "")) for name in ("major", "minor"))
    if not is_too_old(major, minor):
        return ""
    needed = ".".join(map(str, OLDEST_KUBERNETES))
    return (
        f"enforcement: Gateway, the default for Binance, needs Kubernetes {needed} or later, for"
        f" native sidecars; this is {major}.{minor}. Set spec.riskManagement.enforcement to Bot, or"
        " upgrade and restart the operator"
    )


async def _own_image(api: KubernetesApi, environment: Mapping[str, str]) -> str:
    """Return the image of this operator, empty outside of a pod."""
    pod_name = environment.get("HOSTNAME")
    if not pod_name or "KUBERNETES_SERVICE_HOST" not in environment:
        return ""
    pod = await api.get("Pod", own_namespace(), pod_name)
    for container in mappings(mapping((pod or {}).get("spec")).get("containers")):
        if container.get("name") == _CONTAINER:
            return str(container.get("image", ""))
    return ""
