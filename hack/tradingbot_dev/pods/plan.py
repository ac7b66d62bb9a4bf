"""From a pod to the processes that run it. Pure.

Without root, a process can't have a file system of its own. So the paths at which a container's
volumes are mounted are replaced by local directories, in its variables and arguments; TMPDIR is
what is mounted at /tmp. A program that has a path in its code, and not from there, does not find
its file. In the same way, the loopback of the pod is replaced by its address: the processes of all
pods share that of the machine.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from tradingbot_dev.pods.environment import expanded, variables
from tradingbot_dev.pods.images import IMAGES, LocalImage, local_image
from tradingbot_dev.pods.objects import MissingError, Objects

JsonObject = dict[str, Any]

HOST_ADDRESS = "127.0.0.1"
FIRST_ADDRESS = IPv4Address("127.64.0.0")
ADDRESS_BITS = 22
TEMPORARY = "/tmp"
_LOOPBACK = re.compile(r"//(?:127\.0\.0\.1|localhost):(?P<port>[0-9]+)")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class ContainerPlan:
    """How to run one container."""

    name: str
    command: tuple[str, ...]
    directory: Path
    """The working directory, which is also its HOME."""
    environment: Mapping[str, str] = field(repr=False)
    """May have credentials."""


@dataclass(frozen=True)
class PodDirectory:
    """The directory of one pod."""

    path: Path

    @property
    def home(self) -> Path:
        return self.path / "home"

    @property
    def record(self) -> Path:
        return self.path / "pod.json"

    def volume(self, name: str) -> Path:
        return self.path / "volumes" / name

    def container(self, name: str) -> Path:
        return self.path / "containers" / name


def address_of(uid: str) -> str:
    """Return the loopback address of a pod, one of the four million from 127.64.0.0 on.

    Linux answers on all of 127.0.0.0/8. The address follows from the uid, so that it stays when
    the agent is started again, and so that two control planes on one machine have different ones.
    """
    digest = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4])
    return str(FIRST_ADDRESS + digest % (1 << ADDRESS_BITS))


def container_plan(
    pod: JsonObject,
    container: JsonObject,
    objects: Objects,
    *,
    directory: PodDirectory,
    surroundings: Mapping[str, str],
    images: Mapping[str, LocalImage] = IMAGES,
) -> ContainerPlan:
    """Return how to run a container of a pod whose status has the address.

    `surroundings` are variables that every container of the cluster has. Raises MissingError if an
    object or a key does not exist, or if the container needs what a local process can't have.
    """
    image = local_image(container["image"], images)
    if image is None:
        raise MissingError(f"no local command is known for the image {container['image']}")
    if container.get("command"):
        raise MissingError(
            "command is not supported for a pod that runs as a process: its image's own command is"
            " what runs; args are supported"
        )
    given = {
        "PATH": _PATH,
        "LANG": "C.UTF-8",
        "HOME": str(directory.home),
        "HOSTNAME": pod["metadata"]["name"],
        **surroundings,
    }
    mounts = local_mounts(container, directory)
    temporary = str(mounts.get(TEMPORARY, directory.home))
    given |= image_variables(image, address=pod["status"]["podIP"], temporary=temporary)
    if TEMPORARY in mounts:
        given["TMPDIR"] = temporary
    found = variables(pod, container, objects, given=given)
    arguments = [expanded(text, found) for text in container.get("args") or image.arguments]
    loopback = partial(_at_address_of, pod)
    return ContainerPlan(
        name=container["name"],
        command=(*image.entrypoint, *(loopback(localised(text, mounts)) for text in arguments)),
        directory=directory.home,
        # What is given is local already: the checkout itself may be below /tmp.
        environment={
            name: value if given.get(name) == value else loopback(localised(value, mounts))
            for name, value in found.items()
        },
    )


def containers_of(pod: JsonObject) -> list[JsonObject]:
    """Return the sidecars and then the containers of a pod."""
    spec = pod["spec"]
    return [*(spec.get("initContainers") or ()), *spec["containers"]]


def sidecars_of(pod: JsonObject | None) -> list[str]:
    """Return the names of a pod's sidecars, in the order of their start."""
    return [found["name"] for found in ((pod or {}).get("spec") or {}).get("initContainers") or ()]


def next_to_end(running: list[str], sidecars: list[str]) -> list[str]:
    """Return which of the running containers are to end now: sidecars last, in reverse order."""
    last = [name for name in reversed(sidecars) if name in running]
    return [name for name in running if name not in sidecars] or last[:1]


def _at_address_of(pod: JsonObject, text: str) -> str:
    """Replace the loopback of the pod in a URL. Other ports than the pod's are the machine's."""
    declared = {
        str(port["containerPort"])
        for container in containers_of(pod)
        for port in container.get("ports") or ()
    }

    def replaced(found: re.Match[str]) -> str:
        is_of_pod = found["port"] in declared
        return f"//{pod['status']['podIP']}:{found['port']}" if is_of_pod else found[0]

    return _LOOPBACK.sub(replaced, text)


def image_variables(image: LocalImage, *, address: str, temporary: str) -> dict[str, str]:
    """Return the variables of an image for a pod with this address and directory for /tmp."""
    return {
        name: value.replace("{address}", address).replace("{temporary}", temporary)
        for name, value in image.environment.items()
    }


def local_mounts(container: JsonObject, directory: PodDirectory) -> dict[str, Path]:
    """Return the local path of each path at which a container has a volume."""
    return {
        mount["mountPath"].rstrip("/"): directory.volume(mount["name"]) / mount.get("subPath", "")
        for mount in container.get("volumeMounts") or ()
    }


def localised(text: str, mounts: Mapping[str, Path]) -> str:
    """Replace the path of a mount at the beginning of a text, or behind its first `=`."""
    name, equals, value = text.partition("=")
    if equals and not text.startswith("/"):
        return f"{name}={_local(value, mounts)}"
    return _local(text, mounts)


def _local(text: str, mounts: Mapping[str, Path]) -> str:
    for path in sorted(mounts, key=len, reverse=True):
        if text == path or text.startswith(f"{path}/"):
            return f"{mounts[path]}{text.removeprefix(path)}"
    return text
