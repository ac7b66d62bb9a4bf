"""What config/rbac grants is what the processes use, no less and no more.

The webhooks are granted nothing and ask nothing.

The system lives through all that it ever does, and what the API server's audit log then says of
each ServiceAccount is compared with the rules that are bound to it, right by right.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from foreign_admission import (
    DEPLOYMENT_DELETES,
    DEPLOYMENT_UPDATES,
    SUBRESOURCE_UPDATES,
    annotate,
    as_operator,
    policy,
)
from person import Object, Person, condition, eventually, sample, sample_bot
from reads import create_namespace
from rights import (
    Right,
    bound,
    events_of,
    granted,
    not_granted,
    not_used,
    refused,
    used,
    used_in_registry,
)
from simulated_bots import SimulatedBots
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE, temporary_control_plane
from tradingbot_dev.product.system import OPERATOR, System, tradingbot_path

BOT = "arb-bot-binance"
ACCOUNTS = ("tradingbot-operator", "tradingbot-registry", "tradingbot-certs")
WEBHOOKS = "tradingbot-webhooks"


ASKED_BY_ADMISSION = {
    Right("trading.io", "tradingbots/finalizers", "update"),
    Right("", "services", "delete"),
    Right("", "persistentvolumeclaims", "delete"),
}
"""None of our requests shows them: OwnerReferencesPermissionEnforcement asks for the first when a
child is written, and for the others when one is adopted. Other tests show that none works
without."""


DIGEST_KEY = "tradingbot-operator-digest-key"
GRANTED_TWICE = {Right("", "secrets", "get", SYSTEM_NAMESPACE, DIGEST_KEY)}
"""Its own key, for an operator that may read Secrets in some other namespaces only."""


READ_AFTER_A_BROKEN_WATCH = {
    Right("trading.io", "tradingbots", "get"),
    Right("trading.io", "assetregistries", "get"),
    Right("", "pods", "get"),
}
"""Asked for only if an object has changed while nobody watched, which no quiet run shows; the storm
does, and an operator that was refused it there never became ready."""


WITH_A_GATEWAY = {Right("", "pods/status", "patch")}
"""Asked for only if a gateway runs: in `test_e2e_entry_grants.py`, nothing works without it."""


# ---- a life


@pytest.fixture(scope="module")
def lived(bots: SimulatedBots) -> Iterator[System]:
    """A system of its own, as it runs in a cluster, that has done all that it ever does."""
    with temporary_control_plane() as plane:
        token = plane.directory / "operator-token"
        settings = {
            "TRADINGBOT_OPERATOR_RISK_URL": bots.risk_url,
            "TRADINGBOT_OPERATOR_RISK_INTERVAL": "0.5",
            "TRADINGBOT_OPERATOR_CREDENTIALS_INTERVAL": "1",
            "TRADINGBOT_OPERATOR_LEADER_ELECTION": "true",
            "TRADINGBOT_OPERATOR_LEASE_DURATION": "3",
            "TRADINGBOT_REGISTRY_AUTH_MODE": "kubernetes",
            "TRADINGBOT_OPERATOR_REGISTRY_TOKEN_FILE": str(token),
        }
        system = System(plane, settings)
        system.start()
        made = plane.kubectl(
            *("-n", SYSTEM_NAMESPACE, "create", "token", "tradingbot-operator"),
            "--audience=tradingbot-registry",
            check=True,
        )
        token.write_text(made.stdout.strip())
        live(Person(system, "desk"), bots)
        certify(system)
        yield system


def live(person: Person, bots: SimulatedBots) -> None:
    """A bot's life: made, edited, paused, damaged, lossy, in conflict, and deleted."""
    create_namespace(person.system.plane, person.namespace)
    person.applied(sample("assetregistry.yaml"))
    bot = person.running_bot()
    bot["spec"]["riskManagement"]["dailyLossLimit"] = "150"
    change(person, bot["spec"])
    change(person, {"paused": True})
    person.await_phase(BOT, "Paused")
    ask_for_more(person)
    change(person, {"paused": False})
    rotate(person)
    damage(person)
    resist(person)
    conflict(person)
    person.system.restart(OPERATOR)
    bots.set(person.namespace, BOT, day_pnl="-5000")
    person.await_phase(BOT, "Halted")
    eventually(lambda: condition(person.get("areg", "market-data") or {}, "Synced")["status"])
    person.kubectl("delete", "tbot,areg", "--all", "--timeout=120s")
    assert not person.get("tbot", BOT)
    assert not person.get("areg", "market-data")


def change(person: Person, spec: Object) -> None:
    person.patched("tbot", BOT, {"spec": spec})


def ask_for_more(person: Person) -> None:
    """A volume and a network policy, and neither again."""
    more = {"storage": {"size": "1Gi"}, "networkPolicy": "Restricted"}
    change(person, {"pod": more})
    kinds = "persistentvolumeclaim,networkpolicy"
    eventually(lambda: len(person.items(kinds, bot=BOT)) == 2)
    change(person, {"pod": None})
    eventually(lambda: len(person.items(kinds, bot=BOT)) == 1)


def rotate(person: Person) -> None:
    """New credentials; the bot's pod is replaced."""
    person.await_phase(BOT, "Running")
    (before,) = person.items("deployment", bot=BOT)
    person.applied({**sample("secret.yaml"), "stringData": {"api-key": "new", "api-secret": "too"}})
    generation = before["metadata"]["generation"]
    eventually(
        lambda: person.items("deployment", bot=BOT)[0]["metadata"]["generation"] != generation
    )


def damage(person: Person) -> None:
    """Each child edited, and each deleted."""
    for kind, patch in {
        "service": {"spec": {"selector": {"trading.io/bot": "x"}}},
        "deployment": {"spec": {"strategy": {"type": "RollingUpdate"}}},
    }.items():
        person.patched(kind, BOT, patch)
    uids = [one["metadata"]["uid"] for one in children(person)]
    eventually(lambda: children(person)[0]["spec"]["strategy"] == {"type": "Recreate"})
    person.kubectl("delete", "deployment,service,configmap", "-l", f"trading.io/bot={BOT}")
    eventually(
        lambda: (
            len(now := children(person)) == 3
            and not {one["metadata"]["uid"] for one in now} & set(uids)
        )
    )


def resist(person: Person) -> None:
    """Replace an immutable ConfigMap, and take each step of the ladder of a stop."""
    person.await_phase(BOT, "Running")
    immutable = {"immutable": True, "data": {"bot.json": "{}"}}
    (before,) = person.items("configmap", bot=BOT)
    person.patched("configmap", f"{BOT}-config", immutable)
    eventually(lambda: person.items("configmap", bot=BOT)[0]["metadata"]["uid"] != uid_of(before))
    with policy(
        person,
        SUBRESOURCE_UPDATES,
        DEPLOYMENT_DELETES,
        message="in no way",
        probe=as_operator("delete", "deployment", BOT),
    ):
        (pod,) = person.items("pod", bot=BOT)
        change(person, {"paused": True})
        eventually(lambda: uid_of(pod) not in map(uid_of, person.items("pod", bot=BOT)))
    person.await_phase(BOT, "Paused")
    change(person, {"paused": False})
    person.await_phase(BOT, "Running")
    for stopped in (DEPLOYMENT_UPDATES, SUBRESOURCE_UPDATES):
        with policy(person, stopped, message="not like this", probe=annotate(BOT)):
            change(person, {"paused": True})
            person.await_phase(BOT, "Paused")
        change(person, {"paused": False})
        person.await_phase(BOT, "Running")


def uid_of(obj: Object) -> str:
    return str(obj["metadata"]["uid"])


def children(person: Person) -> list[Object]:
    """The bot's Deployment first."""
    return person.items("deployment,service,configmap", bot=BOT)


def conflict(person: Person) -> None:
    person.kubectl("create", "service", "clusterip", "taken", "--tcp=80:80")
    person.applied({**sample_bot(), "metadata": {"name": "taken"}})
    person.await_phase("taken", "Failed")


def certify(system: System) -> None:
    """`tradingbot certs` makes all again, twice; the webhooks, which have others, are done with."""
    kubeconfig = system.plane.service_account_kubeconfig("tradingbot-certs")
    names = ("tradingbot-webhook-tls", "tradingbot-registry-tls")
    secret, registry = (f"{SYSTEM_NAMESPACE}/{name}" for name in names)
    for _ in range(2):
        done = subprocess.run(
            [
                *(tradingbot_path(), "certs", "--once"),
                *(f"--secret={secret}", f"--registry-secret={registry}"),
            ],
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for name in names:
            spoil(system, name, "tls.crt")
            spoil(system, f"{name}-ca", "ca.crt")


def spoil(system: System, secret: str, key: str) -> None:
    system.plane.kubectl(
        *("-n", SYSTEM_NAMESPACE, "patch", "secret", secret, "--type=merge", "-p"),
        json.dumps({"data": {key: "AAAA"}}),
        check=True,
    )


# ---- the comparison


def all_used(system: System, account: str) -> set[Right]:
    uses = used(events_of(system, account)) | used_in_registry(system, account)
    if account != "tradingbot-operator":
        return uses
    return uses | ASKED_BY_ADMISSION | READ_AFTER_A_BROKEN_WATCH | WITH_A_GATEWAY


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_has_the_rights_that_it_uses_and_no_others(lived: System, account: str) -> None:
    rights, uses = granted(lived, account), all_used(lived, account)
    assert refused(events_of(lived, account)) == set(), "these were asked for and not allowed"
    assert not_granted(rights, uses) == [], "something else than config/ allowed these"
    assert not_used(rights, uses) == [], "these are granted and nothing needs them"


def test_the_webhooks_have_no_right_and_ask_nothing(lived: System) -> None:
    assert bound(lived, WEBHOOKS) == set()
    assert events_of(lived, WEBHOOKS) == []


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_right_more_or_less_is_noticed(lived: System, account: str) -> None:
    rights, uses = granted(lived, account), all_used(lived, account)
    more = Right("", "secrets", "list")
    assert not_used({*rights, more}, uses) == [more]
    for right in rights - GRANTED_TWICE:
        assert not_granted(rights - {right}, uses), f"{right} is granted twice"


@pytest.mark.parametrize("account", ACCOUNTS)
def test_nobody_may_list_or_watch_secrets(lived: System, account: str) -> None:
    verbs = {right.verb for right in granted(lived, account) if right.resource == "secrets"}
    assert verbs <= {"get", "create", "update", "patch"}
    anywhere = [right for right in granted(lived, account) if right.resource == "secrets"]
    if account == "tradingbot-certs":
        assert {right.namespace for right in anywhere} == {SYSTEM_NAMESPACE}
    else:
        of_bots = {right.verb for right in anywhere if right.name != DIGEST_KEY}
        assert of_bots <= {"get"}


def test_without_the_right_to_set_finalizers_no_child_can_be_made(lived: System) -> None:
    plane, person = lived.plane, Person(lived, "strict")
    create_namespace(person.system.plane, person.namespace)
    # `certify` has put another authority into these, and the webhooks have the old one.
    plane.kubectl("delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "--all")
    role = json.loads(plane.kubectl("get", "clusterrole", OPERATOR_ROLE, "-o", "json").stdout)
    rules = [one for one in role["rules"] if "tradingbots/finalizers" not in one["resources"]]
    assert len(rules) == len(role["rules"]) - 1
    allow(lived, rules)
    person.applied(sample("secret.yaml"), sample_bot())
    eventually(lambda: any("blockOwnerDeletion" in one for one in forbidden(lived, person)))
    assert children(person) == []
    allow(lived, role["rules"])
    person.await_phase(BOT, "Running")


OPERATOR_ROLE = "tradingbot-operator"


def allow(system: System, rules: list[Any]) -> None:
    system.plane.kubectl(
        *(
            "patch",
            "clusterrole",
            OPERATOR_ROLE,
            "--type=merge",
            "-p",
            json.dumps({"rules": rules}),
        ),
        check=True,
    )


def forbidden(system: System, person: Person) -> list[str]:
    """What the operator was told when it was refused something in the person's namespace."""
    return [
        event["responseStatus"].get("message", "")
        for event in events_of(system, "tradingbot-operator")
        if event.get("objectRef", {}).get("namespace") == person.namespace
        and event["responseStatus"]["code"] == 403
    ]
