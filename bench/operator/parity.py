"""Check that both operators do the same: equal children, equal statuses, and honest counts.

Each gets a control plane with an audit log and the same bots: many that run, and some that cannot.
Children and statuses must then be equal, apart from identities, times and hashes, and each
operator's count of its writes must equal that of the API server.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradingbot_operator import CREDENTIALS

from bench.common.processes import NAMES, ServerName
from bench.common.sample import Json
from bench.common.series import Say
from bench.operator.api import Request, Settling
from bench.operator.cluster import BOTS, CHILDREN, Cluster, bot_manifest, cluster
from bench.operator.process import service_account

RUNNING = 100
SECONDS = 180.0
SHOWN = 10
_WRITES = {"create", "update", "patch", "delete"}
_HASH = re.compile(r"^[0-9a-f]{16}$")
_GIVEN = {
    # The API server and the controllers set these, to a new value for each object.
    *("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"),
    *("clusterIP", "clusterIPs", "lastTransitionTime", "deployment.kubernetes.io/revision"),
}


class NotTheSameError(RuntimeError):
    """Raised when the operators differ, so that their numbers must not be compared."""


@dataclass(frozen=True)
class OperatorParity:
    """What was compared, and the writes of each operator."""

    bots: int
    objects: int
    writes: dict[ServerName, dict[str, int]]
    """By resource, from the API server's audit log."""


def check_operators(peer: Path, *, say: Say) -> OperatorParity:
    """Raise NotTheSameError unless both do the same."""
    found: dict[ServerName, dict[str, Any]] = {}
    writes: dict[ServerName, dict[str, int]] = {}
    for name in NAMES:
        say(f"whether both operators do the same: {name}")
        with cluster(name, bots=RUNNING, peer=peer, audit=True) as observed:
            found[name], writes[name] = _observe(observed)
    ours, theirs = (found[name] for name in NAMES)
    differences = list(_differences(ours, theirs, path=""))
    if differences:
        some = "\n".join(differences[:SHOWN])
        raise NotTheSameError(f"the operators differ in {len(differences)} places:\n{some}")
    return OperatorParity(bots=RUNNING + len(_odd()), objects=len(ours), writes=writes)


def _odd() -> list[Json]:
    """Return bots that cannot run, each for another reason, and one with less common fields."""
    paused, secret, key, full = (bot_manifest(number) for number in range(4))
    paused["spec"]["paused"] = True
    secret["spec"]["exchange"]["apiKeySecret"] = "nowhere"
    key["spec"]["exchange"]["apiKeyPath"] = "nothing"
    full["spec"]["exchange"] |= {"name": "Custom", "baseURL": "https://exchange.example/api"}
    full["spec"]["schedule"] |= {"timeZone": "Europe/Berlin", "dayStart": "17:30"}
    full["spec"]["resources"]["limits"] = {"cpu": "0.75", "memory": "1Gi"}
    bots = {"paused": paused, "secret": secret, "key": key, "full": full}
    for name, bot in bots.items():
        bot["metadata"]["name"] = f"odd-{name}"
    return list(bots.values())


def _observe(cluster: Cluster) -> tuple[dict[str, Any], dict[str, int]]:
    """Return all bots and children after this operator has settled, and its writes by resource."""
    operator = cluster.operator
    operator.start()
    operator.await_ready()
    with Settling(cluster.api, BOTS) as settling:
        cluster.create(RUNNING)
        cluster.api.do_all([Request("POST", BOTS, bot) for bot in _odd()])
        settling.wait(RUNNING + 1, seconds=SECONDS, alive=operator.usage)
    counts = operator.await_quiet(seconds=SECONDS)
    writes = Counter(_writes_of(service_account(operator.name), cluster.plane.audit_events()))
    if writes.total() != counts.writes:
        raise NotTheSameError(
            f"{operator.name} counts {counts.writes} writes, the API server {writes.total()}"
        )
    objects = {
        f"bot {bot['metadata']['name']}": _bot(bot) for bot in cluster.api.get(BOTS)["items"]
    }
    for kind, path in CHILDREN.items():
        for child in cluster.api.get(path)["items"]:
            if child["metadata"].get("labels"):
                objects[f"{kind} {child['metadata']['name']}"] = _child(child)
    return objects, dict(sorted(writes.items()))


def _writes_of(account: str, events: Iterator[Json]) -> Iterator[str]:
    user = f"system:serviceaccount:tradingbot-system:{account}"
    for event in events:
        if event["user"]["username"] == user and event["verb"] in _WRITES:
            target = event["objectRef"]
            yield "/".join(filter(None, (target["resource"], target.get("subresource"))))


def _bot(bot: Json) -> Any:
    status = bot.get("status") or {}
    by_type = {item["type"]: item for item in status.get("conditions") or ()}
    kept = {
        "finalizers": bot["metadata"].get("finalizers"),
        "status": status | {"conditions": by_type},
    }
    return _compared(kept)


def _child(child: Json) -> Any:
    kept = {key: value for key, value in child.items() if key != "status"}
    if "data" in kept:
        kept["data"] = {key: json.loads(text) for key, text in kept["data"].items()}
    annotations = kept["metadata"].get("annotations", {})
    if CREDENTIALS in annotations:
        record = json.loads(annotations[CREDENTIALS])
        # The Secret's resource version differs; compare only whether there is one.
        # tradingbot also records digests of the values, and a revision; the peer compares versions.
        annotations[CREDENTIALS] = {
            "secret": record["secret"],
            "version": bool(record["version"]),
            "keys": sorted(record["keys"]),
        }
    return _compared(kept)


def _compared(value: Any) -> Any:
    """Return `value` without the fields of _GIVEN, and with every hash replaced."""
    if isinstance(value, dict):
        return {key: _compared(inner) for key, inner in value.items() if key not in _GIVEN}
    if isinstance(value, list):
        return [_compared(inner) for inner in value]
    return "(hash)" if isinstance(value, str) and _HASH.match(value) else value


def _differences(ours: Any, theirs: Any, *, path: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            below = f"{path} {key}".lstrip()
            yield from _differences(ours.get(key), theirs.get(key), path=below)
    elif ours != theirs:
        yield f"{path}: ours {ours!r}, the peer's {theirs!r}"
