"""Backups and restores of a namespace, as Velero makes them: pods first, no owners, no status.

What is restored is what Velero restores: metadata is reset to name, namespace, labels, annotations
and finalizers, a pod loses its node, and the status is dropped unless it is asked for.
"""

import json

from person import Object, Person, eventually

BOT = "arb-bot-binance"
KEPT = ("name", "namespace", "labels", "annotations", "finalizers")
ORDER = ("Secret", "ConfigMap", "Pod", "ReplicaSet", "Service", "Deployment", "TradingBot")
"""Velero's priorities: these first, and then all other kinds by the name of their resource."""
KINDS = "secrets,configmaps,pods,replicasets,services,deployments,tradingbots"

Backup = dict[str, list[Object]]


def backed_up(person: Person) -> Backup:
    """Return what a backup of the namespace holds, by kind."""
    backup: Backup = {kind: [] for kind in ORDER}
    for one in person.listed(KINDS):
        if one["metadata"]["name"] != "kube-root-ca.crt":
            backup[one["kind"]].append(one)
    return backup


def reset(stored: Object) -> Object:
    """Return an object as it is restored."""
    metadata = {key: value for key, value in stored["metadata"].items() if key in KEPT}
    rest = {key: value for key, value in stored.items() if key not in {"metadata", "status"}}
    if stored["kind"] == "Pod":
        rest["spec"] = {key: value for key, value in stored["spec"].items() if key != "nodeName"}
    if stored["kind"] == "Service":
        rest["spec"] = {
            key: value
            for key, value in stored["spec"].items()
            if key not in {"clusterIP", "clusterIPs"}
        }
    return {**rest, "metadata": metadata}


def lose_everything(person: Person) -> None:
    """Delete all that the backup holds, as a lost cluster does."""
    person.kubectl("delete", "tbot", "--all", "--timeout=120s")
    everything = KINDS.removesuffix(",tradingbots")
    person.kubectl("delete", everything, "-l", "app.kubernetes.io/name=tradingbot")
    person.kubectl("delete", "secrets", "--all")
    eventually(lambda: person.listed(KINDS, selector="trading.io/bot") == [])


def restore(person: Person, backup: Backup, *kinds: str) -> None:
    for kind in kinds:
        for stored in backup[kind]:
            done = person.kubectl("create", "-f", "-", stdin=json.dumps(reset(stored)))
            assert done.returncode == 0, done.stderr


def restore_children(person: Person, backup: Backup) -> None:
    """Restore all but the TradingBot; its pod runs then, and nobody governs it."""
    restore(person, backup, *ORDER[:-1])
    eventually(lambda: running_pods(person) == len(backup["Pod"]))


def restore_status(person: Person, backup: Backup) -> None:
    """Write the old status, as Velero does for what carries the annotation."""
    (bot,) = backup["TradingBot"]
    person.patched("tbot", BOT, {"status": bot["status"]}, subresource="status")


def lose_and_restore_as_paused(person: Person) -> None:
    """Back up the namespace, lose it, and restore it with a bot that is paused."""
    backup = backed_up(person)
    lose_everything(person)
    restore_children(person, backup)
    (bot,) = backup["TradingBot"]
    bot["spec"]["paused"] = True
    restore(person, backup, "TradingBot")


def running_pods(person: Person) -> int:
    return sum(pod["status"]["phase"] == "Running" for pod in person.items("pod", bot=BOT))
