"""What a pod needs in a real cluster: labels that a policy wants, a volume, a policy's network."""

import pytest
from admission_cases import CASES
from foreign_admission import DEPLOYMENT_UPDATES, WANTS_LABEL, as_operator, policy
from person import Object, Person, condition, eventually, sample, sample_bot

BOT = "arb-bot-binance"
CLAIM = f"{BOT}-data"
CHILDREN = "configmap,service,deployment,persistentvolumeclaim,networkpolicy"
STORED = {"size": "1Gi", "storageClassName": "by-hand"}

EVERYTHING = next(
    case.manifest["spec"] for case in CASES if case.name.endswith("everything at once")
)
CREATIONS: list[Object] = [
    {
        **DEPLOYMENT_UPDATES,
        "apiGroups": [group],
        "operations": ["CREATE", "UPDATE"],
        "resources": resources,
    }
    for group, resources in {
        "": ["configmaps", "services", "persistentvolumeclaims", "pods"],
        "apps": ["deployments", "replicasets"],
        "networking.k8s.io": ["networkpolicies"],
    }.items()
]


def children(person: Person) -> list[Object]:
    return person.items(CHILDREN, bot=BOT)


def uid(person: Person, kind: str, name: str) -> str | None:
    found = person.get(kind, name)
    return found["metadata"]["uid"] if found else None


def team_labels(person: Person) -> set[str | None]:
    """The label of each child and each pod."""
    found = [*children(person), *person.items("pod", bot=BOT)]
    return {obj["metadata"]["labels"].get("team") for obj in found}


def test_labels_that_a_policy_wants_can_be_put_on_everything(person: Person) -> None:
    wanted = "everything must have the label team"
    probe = as_operator("create", "configmap", "probe")
    bot = sample_bot(pod={"networkPolicy": "Restricted"})
    with policy(person, *CREATIONS, message=wanted, probe=probe, expression=WANTS_LABEL):
        person.applied(sample("secret.yaml"), bot)
        refused = eventually(
            lambda: _with_status(person.get("tbot", BOT), "ChildrenApplied", "False")
        )
        assert wanted in condition(refused, "ChildrenApplied")["message"]
        assert children(person) == []

        bot["spec"]["pod"] |= {"labels": {"team": "desk"}}
        person.applied(bot)
        person.await_phase(BOT, "Running")
        assert len(children(person)) == 4
        assert team_labels(person) == {"desk"}

    bot["spec"]["pod"] = {}
    bot["spec"]["updatePolicy"] = "Immediate"
    person.applied(bot)
    eventually(lambda: team_labels(person) == {None} and len(children(person)) == 3)
    person.await_phase(BOT, "Running")


def _with_status(obj: Object | None, type_: str, status: str) -> Object | None:
    return obj if obj and condition(obj, type_)["status"] == status else None


def test_everything_in_one_bot_is_admitted_where_pods_must_be_restricted(person: Person) -> None:
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    person.kubectl("label", "namespace", person.namespace, restricted)
    person.kubectl("create", "serviceaccount", "trader")
    person.kubectl("create", "priorityclass", "trading", "--value=1000")
    runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass"}
    person.applied({**runtime, "metadata": {"name": "gvisor"}, "handler": "runsc"})
    exchange = {**sample_bot()["spec"]["exchange"]}
    exchange |= {key: EVERYTHING["exchange"][key] for key in ("proxyURL", "caBundle")}

    person.applied(sample("secret.yaml"), sample_bot(exchange=exchange, pod=EVERYTHING["pod"]))

    (pod,) = eventually(lambda: person.items("pod", bot=BOT))
    assert pod["spec"]["serviceAccountName"] == "trader"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert len(children(person)) == 5
    bot = eventually(lambda: _with_status(person.get("tbot", BOT), "ChildrenApplied", "True"))
    assert len(bot["status"]["deployedResources"]) == 5


@pytest.fixture
def volume(person: Person) -> Object:
    """A volume that somebody has made by hand, for one claim."""
    found = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"volume-of-{person.namespace}"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "by-hand",
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": "/data"},
            "claimRef": {"namespace": person.namespace, "name": CLAIM},
        },
    }
    person.applied(found)
    return found


@pytest.mark.usefixtures("volume")
def test_a_bot_that_is_deleted_and_made_again_gets_its_retained_volume_back(
    person: Person,
) -> None:
    person.running_bot(pod={"storage": {**STORED, "retain": True}})
    first = uid(person, "pvc", CLAIM)
    (pod,) = person.items("pod", bot=BOT)
    mounted = [volume for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume]
    assert mounted[0]["persistentVolumeClaim"]["claimName"] == CLAIM

    # In the foreground the garbage collector deletes what a bot owns before the operator sees it.
    person.deleted("tbot", BOT, cascade="foreground")
    eventually(lambda: not person.items("deployment,pod,service,configmap", bot=BOT))
    assert uid(person, "pvc", CLAIM) == first

    # The new bot chooses no class; the claim keeps the one that it was created in.
    person.running_bot(pod={"storage": {"size": "1Gi", "retain": True}})
    assert uid(person, "pvc", CLAIM) == first
    eventually(lambda: "Adopted" in person.events(BOT))
    assert condition(person.get("tbot", BOT) or {}, "ChildrenApplied")["status"] == "True"

    # The claim of a bot that no longer retains it goes with the bot.
    person.running_bot(pod={"storage": {"size": "1Gi"}})
    eventually(lambda: _owners(person))
    assert uid(person, "pvc", CLAIM) == first
    person.deleted("tbot", BOT)
    eventually(lambda: uid(person, "pvc", CLAIM) is None)


def _owners(person: Person) -> list[Object]:
    claim = person.get("pvc", CLAIM)
    return list((claim or {"metadata": {}})["metadata"].get("ownerReferences", ()))
