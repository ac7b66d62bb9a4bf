"""The files in a pod's volumes (pure), and how they are written: as the kubelet writes them.

A volume's directory has a link for each file, into `..data`. That is a link to a directory with a
time stamp as its name, and an update swaps it for another. So a reader sees all old files or all
new ones. Files are readable by their owner only.
"""

import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from tradingbot_dev.pods.environment import pod_field
from tradingbot_dev.pods.objects import (
    CONFIG_MAP,
    SECRET,
    MissingError,
    Objects,
    Reference,
    data_of,
)

JsonObject = dict[str, Any]
Files = Mapping[str, bytes]
"""Contents by their paths, relative to the volume."""

DATA = "..data"


class TokenRequest(NamedTuple):
    """A token of the pod's service account that a volume has."""

    audience: str
    seconds: int


def token_requests(pod: JsonObject) -> set[TokenRequest]:
    """Return the tokens in a pod's volumes."""
    return {
        _token_request(source["serviceAccountToken"])
        for volume in pod["spec"].get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources", ())
        if "serviceAccountToken" in source
    }


def volume_files(
    pod: JsonObject, volume: JsonObject, objects: Objects, tokens: Mapping[TokenRequest, str]
) -> Files | None:
    """Return the files of a volume; None for an emptyDir, whose files are the container's own.

    Raises MissingError, also for a volume that a local process can't have.
    """
    if "emptyDir" in volume:
        return None
    sources = volume["projected"].get("sources", ()) if "projected" in volume else (volume,)
    found: dict[str, bytes] = {}
    for source in sources:
        if "serviceAccountToken" in source:
            declared = source["serviceAccountToken"]
            found[declared["path"]] = tokens[_token_request(declared)].encode()
        elif "downwardAPI" in source:
            for item in source["downwardAPI"].get("items") or ():
                path = (item.get("fieldRef") or {}).get("fieldPath", "resourceFieldRef")
                found[item["path"]] = pod_field(pod, path).encode()
        elif "configMap" in source:
            name = source["configMap"]["name"]
            found |= _keys(source["configMap"], Reference(CONFIG_MAP, name), objects)
        elif "secret" in source:
            declared = source["secret"]
            name = declared.get("secretName") or declared["name"]
            found |= _keys(declared, Reference(SECRET, name), objects)
        else:
            kind = next((field for field in source if field != "name"), "")
            raise MissingError(f"a pod that runs as a process can't have a volume of type {kind}")
    return found


def _keys(declared: JsonObject, reference: Reference, objects: Objects) -> dict[str, bytes]:
    optional = bool(declared.get("optional"))
    data = data_of(objects, reference, optional=optional)
    if not declared.get("items"):
        return data
    found = {}
    for item in declared["items"]:
        if item["key"] in data:
            found[item["path"]] = data[item["key"]]
        elif not optional:
            raise MissingError(f"{reference} references non-existent key: {item['key']}")
    return found


def _token_request(declared: JsonObject) -> TokenRequest:
    return TokenRequest(declared.get("audience", ""), declared.get("expirationSeconds", 3600))


def write(directory: Path, files: Files, *, now: datetime) -> bool:
    """Make a volume's directory have these files and no others. Return whether that changed it."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if _read(directory / DATA) == dict(files):
        _link(directory, files)  # a previous call may have been interrupted before it
        return False
    version = directory / f"..{now:%Y_%m_%d_%H_%M_%S}.{now.microsecond:06}{os.getpid()}"
    shutil.rmtree(version, ignore_errors=True)
    version.mkdir(mode=0o700)
    for path, content in files.items():
        file = version / path
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(content)
    draft = directory / "..data_tmp"
    draft.unlink(missing_ok=True)
    draft.symlink_to(version.name)
    draft.replace(directory / DATA)
    _link(directory, files)
    for other in directory.glob("..[0-9]*"):
        if other.name != version.name:
            shutil.rmtree(other, ignore_errors=True)
    return True


def _read(data: Path) -> dict[str, bytes] | None:
    """Return the files that a volume has now, None before the first write."""
    if not data.is_dir():
        return None
    return {
        str(file.relative_to(data)): file.read_bytes() for file in data.rglob("*") if file.is_file()
    }


def _link(directory: Path, files: Files) -> None:
    names = {Path(path).parts[0] for path in files}
    for name in names:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"{DATA}/{name}")
    for entry in directory.iterdir():
        if entry.name not in names and not entry.name.startswith(".."):
            entry.unlink()
