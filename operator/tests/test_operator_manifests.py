"""The manifests of a bot's children: what is in them, and what must never be."""

import json
from typing import Any

import pytest
from operator_harness import bot
from tradingbot_api.model import JsonObject, digest
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children import manifests
from tradingbot_operator.bots.children.manifests import Config

FULL = {
    "strategy": {
        "type": "Grid",
        "image": "ghcr.io/example/grid:2",
        "parameters": {"minProfitThreshold": None, "levels": "12", "note": "größer"},
    },
    "exchange": {
        "name": "Custom",
        "baseURL": "https://exchange.example/api",
        "apiKeySecret": "the-secret-name",
        "apiKeyPath": "the-key-path",
        "apiSecretPath": "the-secret-path",
        "passphrasePath": "the-passphrase-path",
    },
    "mode": "Live",
    "resources": {"limits": {"cpu": "2", "memory": "1Gi"}},
    "riskManagement": {"maxOpenPositions": 3, "takeProfitPercentage": "7"},
    "schedule": {
        "timeZone": "Europe/Berlin",
        "windows": [{"start": "09:00", "end": "17:30"}],
        "blackouts": [{"from": "2026-12-24T00:00:00Z", "to": "2026-12-27T00:00:00Z"}],
    },
}


def declared(subject: Bot) -> Config:
    assert subject.spec is not None
    return Config.declared(subject, subject.spec)


def hash_of(subject: Bot, secret: str = "1") -> str:
    assert subject.spec is not None
    return manifests.pod_template(subject, subject.spec, secret)[1]


def all_manifests(subject: Bot) -> list[JsonObject]:
    assert subject.spec is not None
    template, _ = manifests.pod_template(subject, subject.spec, "1")
    return [
        manifests.config_map(subject, declared(subject)),
        manifests.deployment(subject, template=template, replicas=1),
        manifests.service(subject),
    ]


def pod(subject: Bot) -> JsonObject:
    return dict(all_manifests(subject)[1]["spec"]["template"]["spec"])


def container(subject: Bot) -> JsonObject:
    (only,) = pod(subject)["containers"]
    return dict(only)


def test_the_children_are_named_after_the_bot_and_in_its_namespace() -> None:
    found = [
        (manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        for manifest in all_manifests(bot())
    ]
    assert found == [
        ("ConfigMap", "desk", "arb-config"),
        ("Deployment", "desk", "arb"),
        ("Service", "desk", "arb"),
    ]


def test_every_child_carries_the_labels_and_is_owned_by_the_bot() -> None:
    for child in all_manifests(bot()):
        assert child["metadata"]["labels"] == {
            "app.kubernetes.io/name": "tradingbot",
            "app.kubernetes.io/instance": "arb",
            "app.kubernetes.io/managed-by": "tradingbot-operator",
            "app.kubernetes.io/part-of": "tradingbot-operator",
            "app.kubernetes.io/component": "bot",
            "trading.io/bot": "arb",
        }
        assert child["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "trading.io/v1",
                "kind": "TradingBot",
                "name": "arb",
                "uid": "uid-arb",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]


def test_the_selectors_find_the_pods_and_only_this_bots() -> None:
    _, deployment, service = all_manifests(bot())
    template_labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"]):
        assert selector.items() <= template_labels.items()
        assert selector["trading.io/bot"] == "arb"


def test_there_are_never_two_pods_at_once() -> None:
    spec = all_manifests(bot())[1]["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")


def test_the_pod_obeys_the_restricted_pod_security_standard() -> None:
    found = pod(bot())
    assert not {"hostNetwork", "hostPID", "hostIPC"} & found.keys()
    assert {kind for volume in found["volumes"] for kind in volume if kind != "name"} <= {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    assert found["securityContext"]["runAsNonRoot"] is True
    assert found["securityContext"]["runAsUser"] != 0
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*found["containers"], *found.get("initContainers", [])]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in security
        assert not any("hostPort" in port for port in container["ports"])


def test_the_pod_can_write_only_to_tmp_and_has_no_token() -> None:
    found = pod(bot())
    assert found["automountServiceAccountToken"] is False
    only = container(bot())
    assert only["securityContext"]["readOnlyRootFilesystem"] is True
    volumes = {volume["name"]: volume for volume in found["volumes"]}
    writable = [mount for mount in only["volumeMounts"] if not mount.get("readOnly")]
    assert [mount["mountPath"] for mount in writable] == ["/tmp"]
    assert "emptyDir" in volumes[writable[0]["name"]]


def test_the_configuration_is_mounted_where_the_bot_is_told_it_is() -> None:
    subject = bot()
    (mount,) = [item for item in container(subject)["volumeMounts"] if item["name"] == "config"]
    (volume,) = [item for item in pod(subject)["volumes"] if item["name"] == "config"]
    (path,) = [
        variable["value"]
        for variable in container(subject)["env"]
        if variable["name"] == "TRADINGBOT_CONFIG"
    ]
    (key,) = all_manifests(subject)[0]["data"]
    assert volume["configMap"]["name"] == all_manifests(subject)[0]["metadata"]["name"]
    assert path == f"{mount['mountPath']}/{key}"
    assert "subPath" not in mount  # a file mounted alone never changes in a running pod


def test_the_service_reaches_the_containers_port() -> None:
    (port,) = all_manifests(bot())[2]["spec"]["ports"]
    (target,) = container(bot())["ports"]
    assert (port["name"], port["port"]) == ("http", 8080)
    assert (port["targetPort"], target["containerPort"]) == (target["name"], 8080)


def test_credentials_reach_the_container_only_by_reference() -> None:
    env = {variable["name"]: variable for variable in container(bot(FULL))["env"]}
    for name, key in (
        ("EXCHANGE_API_KEY", "the-key-path"),
        ("EXCHANGE_API_SECRET", "the-secret-path"),
        ("EXCHANGE_API_PASSPHRASE", "the-passphrase-path"),
    ):
        assert env[name] == {
            "name": name,
            "valueFrom": {"secretKeyRef": {"name": "the-secret-name", "key": key}},
        }


def test_a_bot_without_a_passphrase_has_no_variable_for_one() -> None:
    names = [variable["name"] for variable in container(bot())["env"]]
    assert names == ["EXCHANGE_API_KEY", "EXCHANGE_API_SECRET", "TRADINGBOT_CONFIG"]


def test_nothing_but_the_references_names_the_secret_or_its_keys() -> None:
    config_map, deployment, service = all_manifests(bot(FULL))
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    env[:] = [variable for variable in env if "valueFrom" not in variable]
    for child in (config_map, deployment, service):
        text = json.dumps(child)
        for word in ("the-secret-name", "the-key-path", "the-secret-path", "the-passphrase-path"):
            assert word not in text


def test_bot_json_holds_every_value_effective() -> None:
    body = json.loads(declared(bot()).text())
    assert body.pop("configHash") == declared(bot()).hash
    assert body == {
        "schemaVersion": "v1",
        "namespace": "desk",
        "name": "arb",
        "strategy": {
            "type": "Arbitrage",
            "image": "ghcr.io/example/arb:1.0",
            "parameters": {"minProfitThreshold": "0.005"},
        },
        "exchange": {"name": "Binance"},
        "mode": "Paper",
        "risk": {
            "maxPositionSize": "1000",
            "dailyLossLimit": "200",
            "stopLossPercentage": "2",
            "takeProfitPercentage": "4",
            "maxOpenPositions": 1,
            "priceCollarPercentage": "5",
            "maxOrdersPerMinute": 60,
        },
        "schedule": {"timeZone": "UTC", "dayStart": "00:00", "windows": [], "blackouts": []},
    }


def test_bot_json_holds_all_that_a_user_has_said() -> None:
    body = declared(bot(FULL)).body
    assert body["exchange"] == {"name": "Custom", "baseURL": "https://exchange.example/api"}
    assert body["strategy"]["parameters"] == {"levels": "12", "note": "größer"}
    assert body["risk"]["takeProfitPercentage"] == "7"
    assert body["schedule"]["windows"][0]["days"] == [
        "Mon",
        "Tue",
        "Wed",
        "Thu",
        "Fri",
        "Sat",
        "Sun",
    ]
    assert body["schedule"]["blackouts"] == FULL["schedule"]["blackouts"]  # type: ignore[index]


NEEDS_A_RESTART: list[JsonObject] = [
    {"strategy": {"image": "ghcr.io/example/arb:1.1"}},
    {"strategy": {"type": "Grid"}},
    {"strategy": {"parameters": {"minProfitThreshold": "0.006"}}},
    {"strategy": {"parameters": {"minProfitThreshold": None}}},
    {"exchange": {"apiKeySecret": "other"}},
    {"exchange": {"apiKeyPath": "other"}},
    {"exchange": {"apiSecretPath": "other"}},
    {"exchange": {"passphrasePath": "other"}},
    {"exchange": {"baseURL": "https://testnet.example"}},
    {"mode": "Live"},
    {"resources": {"limits": {"cpu": "1"}}},
    {"resources": {"limits": {"memory": "1Gi"}}},
    {"resources": {"requests": {"cpu": "50m"}}},
]
NEEDS_NONE: list[JsonObject] = [
    {"riskManagement": {"maxPositionSize": "2"}},
    {"riskManagement": {"dailyLossLimit": "2"}},
    {"riskManagement": {"stopLossPercentage": "5"}},
    {"riskManagement": {"takeProfitPercentage": "5"}},
    {"riskManagement": {"maxOpenPositions": 2}},
    {"schedule": {"timeZone": "Asia/Tokyo"}},
    {"schedule": {"dayStart": "08:00"}},
    {"schedule": {"windows": [{"start": "09:00", "end": "17:00"}]}},
    {"schedule": {"blackouts": [{"from": "2026-12-24T00:00:00Z", "to": "2026-12-27T00:00:00Z"}]}},
]
SPELLED_OTHERWISE: list[JsonObject] = [
    {"resources": {"limits": {"cpu": "0.5"}}},
    {"resources": {"limits": {"memory": "268435456"}}},
    {"resources": {"requests": {"cpu": "0.1", "memory": "0.125Gi"}}},
]
NOT_OF_THE_BOT: list[JsonObject] = [{"updatePolicy": "Manual"}, {"paused": True}]


@pytest.mark.parametrize("change", NEEDS_A_RESTART, ids=json.dumps)
def test_the_restart_hash_changes_with_what_needs_a_restart(change: JsonObject) -> None:
    assert hash_of(bot(change)) != hash_of(bot())


def test_the_restart_hash_changes_when_the_secret_is_another_version() -> None:
    assert hash_of(bot(), "2") != hash_of(bot(), "1")


@pytest.mark.parametrize(
    "change", [*NEEDS_NONE, *SPELLED_OTHERWISE, *NOT_OF_THE_BOT], ids=json.dumps
)
def test_the_restart_hash_stays_with_all_else(change: JsonObject) -> None:
    assert hash_of(bot(change)) == hash_of(bot())


def test_a_hash_of_the_spelling_that_runs_stays_until_a_value_changes() -> None:
    """Earlier versions took the user's spelling."""
    half, same, other = (
        bot({"resources": {"limits": {"cpu": cpu}}}) for cpu in ("0.5", "500m", "1")
    )
    assert half.spec is not None
    spec = half.spec.model_dump(by_alias=True, mode="json", exclude_none=True)
    template, _ = manifests.pod_template(half, half.spec, "1")
    unmarked = {**template, "metadata": {"labels": template["metadata"]["labels"]}}
    parts = {key: spec[key] for key in (*manifests.RESTART_PARTS, "resources")}
    earlier = digest({**parts, "secretVersion": "1", "pod": unmarked})

    def kept(subject: Bot) -> bool:
        assert subject.spec is not None
        _, hash_ = manifests.pod_template(subject, subject.spec, "1", running=earlier)
        return hash_ == earlier

    assert hash_of(half) == hash_of(same) != earlier
    assert kept(half)
    assert not kept(other)


@pytest.mark.parametrize("change", NEEDS_NONE, ids=json.dumps)
def test_limits_and_schedule_reach_bot_json_and_leave_the_pod_alone(change: JsonObject) -> None:
    assert declared(bot(change)).hash != declared(bot()).hash
    assert pod(bot(change)) == pod(bot())


@pytest.mark.parametrize("change", NOT_OF_THE_BOT, ids=json.dumps)
def test_what_is_said_to_the_operator_is_not_in_bot_json(change: JsonObject) -> None:
    assert declared(bot(change)).text() == declared(bot()).text()


def test_metadata_reaches_neither_the_pod_nor_bot_json() -> None:
    other = bot(metadata={"generation": 9, "annotations": {"a": "b"}, "labels": {"c": "d"}})
    assert (pod(other), declared(other), hash_of(other)) == (
        pod(bot()),
        declared(bot()),
        hash_of(bot()),
    )


def test_a_config_is_read_back_as_it_was_written() -> None:
    config = declared(bot(FULL))
    assert Config.stored(manifests.config_map(bot(FULL), config)) == config


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {},
        {"data": None},
        {"data": {}},
        {"data": {"bot.json": "not JSON"}},
        {"data": {"bot.json": "[1]"}},
        {"data": {"bot.json": None}},
    ],
    ids=str,
)
def test_a_config_map_that_holds_no_config_is_read_as_none(stored: Any) -> None:
    assert Config.stored(stored) is None


def test_a_config_keeps_the_restart_parts_of_another_and_nothing_else() -> None:
    old, new = declared(bot()), declared(bot(FULL))
    kept = new.keeping_restart_parts_of(old)
    for part in ("strategy", "exchange", "mode"):
        assert kept.body[part] == old.body[part]
    for part in ("risk", "schedule", "schemaVersion", "name", "namespace"):
        assert kept.body[part] == new.body[part]
    assert kept.hash not in {old.hash, new.hash}


def test_a_digest_depends_on_the_value_and_not_on_its_order() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})


def test_a_pod_that_is_written_in_another_way_is_a_change_that_needs_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = hash_of(bot())
    monkeypatch.setattr(manifests, "USER_ID", 1000)
    assert hash_of(bot()) != before
