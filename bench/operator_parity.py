"""That both operators do the same: the same children, the same status, and writes as they say.

Each has a control plane with an audit log and the same bots: many that run, and some that can't.
Then the children and the statuses must be equal but for what differs by its nature (identities,
times, hashes), and each operator's own count of its writes must be the API server's.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradingbot_operator import CREDENTIALS

from bench.operator_api import Json, Request, Settling
from bench.operator_cluster import BOTS, CHILDREN, Cluster, bot_manifest, cluster
from bench.operator_process import service_account
from bench.servers import NAMES, ServerName

RUNNING = 100
SECONDS = 180.0
SHOWN = 10
_WRITES = {"create", "update", "patch", "delete"}
_HASH = re.compile(r"^[0-9a-f]{16}$")
_GIVEN = {
    # What the API server and the controllers give to an object, and ever another one.
    *("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"),
    *("clusterIP", "clusterIPs", "lastTransitionTime", "deployment.kubernetes.io/revision"),
}
Say = Callable[[str], None]


class NotTheSameError(RuntimeError):
    """Raised when the operators differ: their numbers must not be compared."""


@dataclass(frozen=True)
class OperatorParity:
    """What was compared, and what each operator has written for it."""

    bots: int
    objects: int
    writes: dict[ServerName, dict[str, int]]
    """By resource, of the API server's audit log."""


def check_operators(peer: Path, *, say: Say) -> OperatorParity:
    """Raises NotTheSameError unless both do the same."""
    found: dict[ServerName, dict[str, Any]] = {}
    writes: dict[ServerName, dict[str, int]] = {}
    for name in NAMES:
        say(f"that both operators do the same: {name}")
        with cluster(name, bots=RUNNING, peer=peer, audit=True) as one:
            found[name], writes[name] = _observe(one)
    ours, theirs = (found[name] for name in NAMES)
    differences = list(_differences(ours, theirs, path=""))
    if differences:
        some = "\n".join(differences[:SHOWN])
        raise NotTheSameError(f"the operators differ in {len(differences)} places:\n{some}")
    return OperatorParity(bots=RUNNING + len(_odd()), objects=len(ours), writes=writes)


def _odd() -> list[Json]:
    """Bots that don't run, each for a reason of its own, and one that has what others have not."""
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


def _observe(one: Cluster) -> tuple[dict[str, Any], dict[str, int]]:
    """All bots and children as this operator leaves them, and its writes by resource."""
    operator = one.operator
    operator.start()
    operator.await_ready()
    with Settling(one.api, BOTS) as settling:
        one.create(RUNNING)
        one.api.do_all([Request("POST", BOTS, bot) for bot in _odd()])
        settling.wait(RUNNING + 1, seconds=SECONDS, alive=operator.usage)
    counts = operator.await_quiet(seconds=SECONDS)
    writes = Counter(_writes_of(service_account(operator.name), one.plane.audit_events()))
    if writes.total() != counts.writes:
        raise NotTheSameError(
            f"{operator.name} says that it wrote {counts.writes} times, and the API server has seen"
            f" {writes.total()}"
        )
    objects = {f"bot {bot['metadata']['name']}": _bot(bot) for bot in one.api.get(BOTS)["items"]}
    for kind, path in CHILDREN.items():
        for child in one.api.get(path)["items"]:
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
    by_type = {one["type"]: one for one in status.get("conditions") or ()}
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
        # The Secret's resource version; that both say one is what can be compared.
        annotations[CREDENTIALS] = record | {"version": bool(record["version"])}
    return _compared(kept)


def _compared(value: Any) -> Any:
    """`value` without what is given, and with every hash alike: each has its own."""
    if isinstance(value, dict):
        return {key: _compared(one) for key, one in value.items() if key not in _GIVEN}
    if isinstance(value, list):
        return [_compared(one) for one in value]
    return "(hash)" if isinstance(value, str) and _HASH.match(value) else value


def _differences(ours: Any, theirs: Any, *, path: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            below = f"{path} {key}".lstrip()
            yield from _differences(ours.get(key), theirs.get(key), path=below)
    elif ours != theirs:
        yield f"{path}: ours {ours!r}, the peer's {theirs!r}"
