"""The images that run as local processes, and which pods these are.

This table is the only place to change for another image.
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tradingbot_dev.toolchain import strategies_environment

JsonObject = dict[str, Any]

_HACK = Path(__file__).resolve().parents[2]
_CARELESS = _HACK.parent / "config" / "samples" / "demo-cluster" / "careless.py"


@dataclass(frozen=True)
class LocalImage:
    """What an image runs, as a command of this machine."""

    entrypoint: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    """The image's default arguments, which a container's `args` replace."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """The image's own variables. `{address}` is replaced by the address of the pod, to listen on:
    the processes share the machine, so `0.0.0.0:8080` is free for one of them only. `{temporary}`
    is replaced by the local directory of what is mounted at /tmp."""


GATEWAY_IMAGE = "tradingbot-gateway"
"""Of the risk gateway, which the local operator adds to the pods of its bots."""

IMAGES: Mapping[str, LocalImage] = {
    "ghcr.io/example/tradingbot-example-bot": LocalImage(
        entrypoint=(sys.executable, "-m", "tradingbot_dev.pods.example_bot"),
        environment={"TRADINGBOT_RISK_HOST": "{address}", "PYTHONPATH": str(_HACK)},
    ),
    # In a cluster, the demo mounts this program into the image of the strategies.
    "ghcr.io/example/careless-bot": LocalImage(entrypoint=(sys.executable, str(_CARELESS))),
    "tradingbot-strategies": LocalImage(
        entrypoint=(str(strategies_environment.STRATEGIES.python()), "-m", "tradingbot_strategies"),
        arguments=("run",),
        environment={
            "TRADINGBOT_RISK_HOST": "{address}",
            "TRADINGBOT_STATE": "{temporary}",
            "PYTHONPATH": strategies_environment.PACKAGES,
        },
    ),
    # In a cluster, the gateway is in the operator's own image.
    GATEWAY_IMAGE: LocalImage(
        entrypoint=(sys.executable, "-m", "tradingbot_cli"),
        environment={
            "TRADINGBOT_GATEWAY_LISTEN": "{address}:8081",
            "TRADINGBOT_GATEWAY_REPORT_LISTEN": "{address}:8080",
            "TRADINGBOT_GATEWAY_DRAIN_LISTEN": "{address}:8082",
        },
    ),
}
"""The command of each image, by its repository without tag and digest."""


def image_pattern(images: Mapping[str, LocalImage] = IMAGES) -> str:
    """Return a regular expression for the images in the table, as Python and RE2 read it."""
    return f"^({'|'.join(map(re.escape, sorted(images)))})(:[^/@]*)?(@.*)?$"


def local_image(image: str, images: Mapping[str, LocalImage] = IMAGES) -> LocalImage | None:
    """Return the table's entry for an image such as `REPOSITORY:TAG@DIGEST`, or None."""
    found = re.match(image_pattern(images), image)
    return images[found[1]] if found else None


def is_local(pod: JsonObject, images: Mapping[str, LocalImage] = IMAGES) -> bool:
    """Return whether all containers of a pod run as processes, not as kwok's simulation.

    Init containers without restartPolicy Always stay simulated, and so do pods with another one.
    """
    spec = pod["spec"]
    sidecars = spec.get("initContainers") or []
    return (
        spec.get("restartPolicy", "Always") == "Always"
        and all(found.get("restartPolicy") == "Always" for found in sidecars)
        and bool(spec["containers"])
        and all(local_image(found["image"], images) for found in (*sidecars, *spec["containers"]))
    )


def is_local_query(images: Mapping[str, LocalImage] = IMAGES) -> str:
    """Return `is_local` as a query of jq that results in true or false."""
    return (
        '((.spec.restartPolicy // "Always") == "Always")'
        ' and ([(.spec.initContainers // [])[] | .restartPolicy == "Always"] | all)'
        " and (.spec.containers | length > 0)"
        " and ([(.spec.containers + (.spec.initContainers // []))[].image"
        f" | test({json.dumps(image_pattern(images))})] | all)"
    )


def without_local_pods(stage: JsonObject) -> JsonObject:
    """Return one of kwok's stages, without effect on the pods that run as processes."""
    spec = stage["spec"]
    if spec["resourceRef"]["kind"] != "Pod":
        return stage
    selector = spec.get("selector", {})
    rule = {"key": is_local_query(), "operator": "NotIn", "values": ["true"]}
    rules = [*selector.get("matchExpressions", []), rule]
    return {**stage, "spec": {**spec, "selector": {**selector, "matchExpressions": rules}}}
