"""A bot's way through the system, on files that a user would write."""

from typing import Any

import pytest
from person import BOT, Person, condition, documented_wait, eventually, sample, sample_bot


def operator_writes(person: Person) -> list[str]:
    """Writes by the operator so far in the person's namespace, from the API server's audit log."""
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in person.system.plane.audit_events(containing=person.namespace)
        if event["user"]["username"].endswith(":tradingbot-operator")
        and event["verb"] in {"create", "update", "patch", "delete"}
        and f"/namespaces/{person.namespace}/" in event["requestURI"]
    ]


def test_an_applied_bot_is_defaulted_runs_and_reports_its_children(person: Person) -> None:
    sent = sample("tradingbot.yaml")
    assert "enforcement" not in sent["spec"]["riskManagement"]
    assert "created" in person.apply(sample("secret.yaml"), sent).stdout
    bot = person.await_phase(BOT, "Running")
    assert bot["spec"]["mode"] == "Paper"
    assert bot["spec"]["resources"] == {"limits": {"cpu": "500m", "memory": "256Mi"}}
    assert bot["status"]["effective"] == {
        "riskManagement": {"takeProfitPercentage": "5", "enforcement": "Gateway"},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "exchange": {
            "dialect": "Binance",
            "quoteCurrency": "USDT",
            "paperBalance": [{"asset": "USDT", "amount": "10000"}],
        },
    }
    assert condition(bot, "Ready")["status"] == "True"
    assert bot["status"]["deployedResources"] == [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": f"{BOT}-config", "ready": True},
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": BOT, "ready": True},
        {"apiVersion": "v1", "kind": "Service", "name": BOT, "ready": True},
    ]
    for child in ("configmap", "deployment", "service"):
        (found,) = person.items(child, bot=BOT)
        (owner,) = found["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("TradingBot", bot["metadata"]["uid"])
        assert owner["controller"]
        if child == "deployment":
            pod = found["spec"]["template"]["spec"]
            assert [container["name"] for container in pod["initContainers"]] == ["gateway"]
            assert sent["spec"]["exchange"]["apiKeySecret"] not in repr(pod["containers"])


def test_kubectl_wait_and_get_show_a_ready_bot(person: Person) -> None:
    person.applied(sample("secret.yaml"), sample_bot())
    for waited_for in ("condition=Ready", "condition=Trading"):
        waited = person.kubectl(*documented_wait(waited_for))
        assert "condition met" in waited.stdout, waited.stderr
    header, row = person.kubectl("get", "tbot").stdout.splitlines()
    columns = ["NAME", "STRATEGY", "EXCHANGE", "MODE", "PHASE", "DAY-PNL", "READY", "AGE"]
    assert header.split() == columns
    assert row.split()[:6] == [BOT, "Arbitrage", "Binance", "Paper", "Running", "True"]
    wide = person.kubectl("get", "trading", "-o", "wide").stdout
    assert "IMAGE" in wide
    assert "ghcr.io/example/arb-bot:latest" in wide


def test_applying_the_same_file_again_changes_and_writes_nothing(person: Person) -> None:
    person.running_bot()
    eventually(
        lambda: condition(person.get("tbot", BOT) or {}, "RegistrySynced")["status"] == "True"
    )
    eventually(lambda: "first poll is pending" not in reported(person)["message"])
    settled = person.get("tradingbot", BOT)
    writes = operator_writes(person)
    assert "unchanged" in person.apply(sample_bot()).stdout
    # A label makes an event, so that the operator certainly looks once more.
    person.kubectl("label", "tradingbot", BOT, "seen=yes")
    eventually(lambda: looked_at_secret_since(person, len(secret_reads(person)) - 1))
    assert operator_writes(person) == writes
    after = person.get("tradingbot", BOT)
    assert settled is not None
    assert after is not None
    assert after["status"] == settled["status"]


def reported(person: Person) -> dict[str, Any]:
    return condition(person.get("tbot", BOT) or {}, "RiskReported")


def secret_reads(person: Person) -> list[str]:
    return [
        event["requestURI"]
        for event in person.system.plane.audit_events(containing=person.namespace)
        if event["user"]["username"].endswith(":tradingbot-operator")
        and f"/namespaces/{person.namespace}/secrets/" in event["requestURI"]
    ]


def looked_at_secret_since(person: Person, before: int) -> bool:
    """Whether the operator has reconciled since: it reads the Secret each time."""
    return len(secret_reads(person)) > before


def test_a_changed_limit_reaches_the_config_map_and_restarts_nothing(person: Person) -> None:
    person.running_bot()
    (pod,) = person.items("pod", bot=BOT)
    (before,) = person.items("deployment", bot=BOT)
    limits = {**sample_bot()["spec"]["riskManagement"], "dailyLossLimit": "150"}
    assert "configured" in person.apply(sample_bot(riskManagement=limits)).stdout

    def followed() -> bool:
        (config,) = person.items("configmap", bot=BOT)
        return '"dailyLossLimit": "150"' in config["data"]["bot.json"]

    eventually(followed)
    person.await_phase(BOT, "Running")
    (after,) = person.items("deployment", bot=BOT)
    assert after["spec"] == before["spec"]
    assert [one["metadata"]["uid"] for one in person.items("pod", bot=BOT)] == [
        pod["metadata"]["uid"]
    ]


def test_a_changed_image_reaches_the_pod_template(person: Person) -> None:
    person.running_bot()
    strategy = {**sample_bot()["spec"]["strategy"], "image": "ghcr.io/example/arb-bot:2.0.0"}
    person.applied(sample_bot(strategy=strategy))

    def followed() -> bool:
        pods = person.items("pod", bot=BOT)
        images = {pod["spec"]["containers"][0]["image"] for pod in pods}
        return images == {"ghcr.io/example/arb-bot:2.0.0"}

    eventually(followed)
    assert person.await_phase(BOT, "Running")
    eventually(lambda: "Updated" in person.events(BOT))


def test_a_deleted_deployment_comes_back(person: Person) -> None:
    person.running_bot()
    (before,) = person.items("deployment", bot=BOT)
    person.kubectl("delete", "deployment", BOT)
    eventually(
        lambda: [
            one
            for one in person.items("deployment", bot=BOT)
            if one["metadata"]["uid"] != before["metadata"]["uid"]
        ]
    )
    person.await_phase(BOT, "Running")
    eventually(lambda: "DriftCorrected" in person.events(BOT))


def test_children_that_somebody_edits_are_mended(person: Person) -> None:
    person.running_bot()
    (before,) = person.items("deployment", bot=BOT)
    person.kubectl("scale", "deployment", BOT, "--replicas=3")
    person.kubectl("set", "image", f"deployment/{BOT}", "bot=example.com/other:1")
    person.kubectl(
        "patch", "configmap", f"{BOT}-config", "--type=merge", "-p", '{"data":{"bot.json":"{}"}}'
    )
    person.kubectl(
        "patch",
        "service",
        BOT,
        "--type=merge",
        "-p",
        '{"spec":{"selector":{"trading.io/bot":"x"}}}',
    )

    def mended() -> bool:
        (deployment,) = person.items("deployment", bot=BOT)
        (config,) = person.items("configmap", bot=BOT)
        (service,) = person.items("service", bot=BOT)
        return (
            deployment["spec"] == before["spec"]
            and '"dailyLossLimit"' in config["data"]["bot.json"]
            and service["spec"]["selector"]["trading.io/bot"] == BOT
        )

    eventually(mended)


def test_a_rolling_update_strategy_that_somebody_sets_is_taken_back(person: Person) -> None:
    person.running_bot()
    patched = person.kubectl(
        "patch",
        "deployment",
        BOT,
        "--type=merge",
        "-p",
        '{"spec":{"strategy":{"type":"RollingUpdate"}}}',
    )
    assert patched.returncode == 0, patched.stderr

    def mended() -> bool:
        (deployment,) = person.items("deployment", bot=BOT)
        return bool(deployment["spec"]["strategy"] == {"type": "Recreate"})

    eventually(mended)


def test_a_paused_bot_has_no_pod_and_runs_again_when_unpaused(person: Person) -> None:
    person.running_bot()
    for times in (1, 2):
        person.patched("tbot", BOT, {"spec": {"paused": True}})
        paused = "jsonpath='{.status.phase}'=Paused"
        for waited_for in ("condition=Ready", "condition=Trading=False", paused):
            waited = person.kubectl(*documented_wait(waited_for))
            assert "condition met" in waited.stdout, waited.stderr
        assert person.items("pod", bot=BOT) == []
        bot = person.await_phase(BOT, "Paused")
        ready = condition(bot, "Ready")
        assert (ready["status"], ready["reason"]) == ("True", "Paused")
        person.patched("tbot", BOT, {"spec": {"paused": False}})
        person.await_phase(BOT, "Running")
        eventually(lambda times=times: person.count_of(BOT, "Paused") == times)  # type: ignore[misc]
    person.await_events(BOT, "Paused")
    person.await_events(BOT, "Resumed")


def test_a_bot_outside_its_hours_has_no_pod(person: Person) -> None:
    blackout = {"from": "2020-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z"}
    person.applied(sample("secret.yaml"), sample_bot(schedule={"blackouts": [blackout]}))
    bot = person.await_phase(BOT, "OffHours")
    assert bot["status"]["schedule"] == {"open": False, "nextTransition": "2999-01-01T00:00:00Z"}
    (deployment,) = person.items("deployment", bot=BOT)
    assert deployment["spec"]["replicas"] == 0


def test_a_deleted_bot_leaves_no_child_no_pod_and_no_asset(person: Person) -> None:
    person.running_bot()
    eventually(lambda: person.asset(BOT))
    deleted = person.kubectl("delete", "tradingbot", BOT, "--timeout=120s")
    assert "deleted" in deleted.stdout, deleted.stderr
    assert person.items("pod", bot=BOT) == []
    assert person.asset(BOT) is None
    # The garbage collector learns of a new kind of owner within half a minute.
    for child in ("deployment", "configmap", "service"):
        eventually(lambda child=child: person.items(child, bot=BOT) == [])


def test_the_bot_is_an_asset_that_depends_on_its_exchange(person: Person) -> None:
    person.running_bot()
    eventually(lambda: (person.asset(BOT) or {}).get("status") == "Active")
    exchange = person.registry("assets/by-ref/exchange/global/binance")
    dependents = person.registry(f"assets/{exchange['id']}/dependents")
    items = dependents if isinstance(dependents, list) else dependents["items"]
    assert person.asset(BOT)["id"] in str(items)


@pytest.mark.parametrize(
    ("kind", "name", "create"),
    [
        ("ConfigMap", f"{BOT}-config", f"configmap {BOT}-config --from-literal=a=b"),
        ("Service", BOT, f"service clusterip {BOT} --tcp=80:80"),
        ("Deployment", BOT, f"deployment {BOT} --image=example/other:1 --replicas=0"),
    ],
    ids=["ConfigMap", "Service", "Deployment"],
)
def test_a_child_of_the_same_name_that_is_not_the_bots_is_left_alone(
    person: Person, kind: str, name: str, create: str
) -> None:
    person.kubectl("create", *create.split())
    before = person.get(kind, name)["metadata"]
    person.applied(sample("secret.yaml"), sample_bot())
    bot = person.await_phase(BOT, "Failed")
    assert condition(bot, "Ready")["reason"] == "NameConflict"
    assert f"{kind} {name}" in condition(bot, "Ready")["message"]
    after = person.get(kind, name)["metadata"]
    for part in ("uid", "generation", "labels", "ownerReferences"):
        assert after.get(part) == before.get(part)
    assert person.items("deployment", bot=BOT) == []
    person.kubectl("delete", kind, name)
    person.await_phase(BOT, "Running")
