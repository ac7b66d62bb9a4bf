"""Any process can be killed at any time; started again, the system is as declared."""

from urllib.request import urlopen

import pytest
from person import Person, condition, eventually, sample, sample_bot
from tradingbot_dev.control_plane.components import CONTROLLER_MANAGER, ETCD, KUBE_APISERVER
from tradingbot_dev.product.system import OPERATOR, REGISTRY, WEBHOOKS

BOT = "arb-bot-binance"


def answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/healthz", timeout=5):
            return True
    except OSError:
        return False


def test_a_killed_operator_catches_up_with_what_happened_meanwhile(person: Person) -> None:
    person.running_bot()
    person.system.kill(OPERATOR)
    try:
        person.deleted("deployment", BOT)
        limits = {**sample_bot()["spec"]["riskManagement"], "dailyLossLimit": "120"}
        person.applied(sample_bot(riskManagement=limits))
    finally:
        person.system.start_one(OPERATOR)
    person.await_phase(BOT, "Running")
    (config,) = person.items("configmap", bot=BOT)
    assert '"dailyLossLimit": "120"' in config["data"]["bot.json"]


def test_a_bot_deleted_while_the_operator_is_dead_goes_once_it_is_back(person: Person) -> None:
    person.running_bot()
    eventually(lambda: person.asset(BOT))
    person.system.kill(OPERATOR)
    try:
        person.kubectl("delete", "tbot", BOT, "--wait=false")
        assert person.get("tbot", BOT) is not None
    finally:
        person.system.start_one(OPERATOR)
    eventually(lambda: person.get("tbot", BOT) is None)
    assert person.asset(BOT) is None


def test_killed_webhooks_admit_again_once_they_are_back(person: Person) -> None:
    person.system.kill(WEBHOOKS)
    try:
        assert "failed calling webhook" in person.apply(sample_bot()).stderr
    finally:
        person.system.start_one(WEBHOOKS)
    person.applied(sample("secret.yaml"))
    eventually(lambda: person.apply(sample_bot()).returncode == 0)
    person.await_phase(BOT, "Running")


def test_a_dead_registry_holds_up_no_bot_and_is_told_once_it_is_back(person: Person) -> None:
    person.system.kill(REGISTRY)
    # A worker whose parent was killed finishes what it does before it notices.
    eventually(lambda: not answers(person.system.registry_url))
    try:
        person.running_bot()
        bot = eventually(
            lambda: (
                (found := person.get("tbot", BOT))
                and condition(found, "RegistrySynced")["status"] == "False"
                and found
            )
        )
        assert condition(bot, "RegistrySynced")["reason"] == "RegistryUnavailable"
        assert condition(bot, "Ready")["status"] == "True"
        person.applied(sample("assetregistry.yaml"))
    finally:
        person.system.start_one(REGISTRY)
    eventually(lambda: person.asset(BOT))
    eventually(
        lambda: condition(person.get("areg", "market-data") or {}, "Synced")["status"] == "True"
    )


@pytest.mark.parametrize("name", [ETCD, KUBE_APISERVER, CONTROLLER_MANAGER])
def test_a_killed_part_of_the_control_plane_leaves_bots_as_declared(
    person: Person, name: str
) -> None:
    person.running_bot()
    person.system.plane.table.kill(name)
    person.system.plane.start()
    eventually(lambda: person.kubectl("delete", "deployment", BOT).returncode == 0)
    eventually(lambda: person.items("deployment", bot=BOT))
    person.await_phase(BOT, "Running")
