"""Each restart, and each that waits, names what it is for."""

from dataclasses import replace

import pytest
from operator_harness import NOW, SECRET, SECRET_VERSION, bot, children_of, observed
from reconcile_harness import BOT, CREDENTIALS, DEPLOYMENT, Harness, condition, play
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.children import manifests
from tradingbot_operator.bots.observed import Credentials, Running
from tradingbot_operator.bots.plan import plan
from tradingbot_operator.bots.restart_causes import restart_causes
from tradingbot_operator.bots.status.transitions import transitions

OF_CREDENTIALS = f'credentials (Secret "{SECRET}")'
CHANGES: dict[str, tuple[JsonObject, tuple[str, ...]]] = {
    "image": ({"strategy": {"image": "ghcr.io/example/arb:2.0"}}, ("image",)),
    "parameters": ({"strategy": {"parameters": {"a": "b"}}}, ("parameters",)),
    "strategy": ({"strategy": {"type": "Grid"}}, ("strategy",)),
    "exchange": ({"exchange": {"baseURL": "https://example.com"}}, ("exchange",)),
    "mode": ({"mode": "Live"}, ("mode",)),
    "resources": ({"resources": {"limits": {"cpu": "2"}}}, ("resources",)),
    "key": ({"exchange": {"apiKeyPath": "other"}}, (OF_CREDENTIALS,)),
    "pod.nodeSelector": ({"pod": {"nodeSelector": {"a": "b"}}}, ("pod.nodeSelector",)),
    "pod.labels": ({"pod": {"labels": {"a": "b"}}}, ("pod.labels",)),
    "pod.annotations": ({"pod": {"annotations": {"a": "b"}}}, ("pod.annotations",)),
    "pod.args": ({"pod": {"args": ["-v"]}}, ("pod.args",)),
    "pod.env": ({"pod": {"env": [{"name": "HTTPS_PROXY", "value": "1"}]}}, ("pod.env",)),
    "pod.envFrom": ({"pod": {"envFrom": [{"configMapRef": {"name": "a"}}]}}, ("pod.envFrom",)),
    "pod.files": (
        {"pod": {"files": [{"mountPath": "/a", "configMap": {"name": "a"}}]}},
        ("pod.files",),
    ),
    "pod.storage": ({"pod": {"storage": {"size": "1Gi"}}}, ("pod.storage",)),
    "proxy": ({"exchange": {"proxyURL": "http://proxy.example:3128"}}, ("exchange.proxyURL",)),
    "CA": ({"exchange": {"caBundle": {"name": "ca", "key": "a"}}}, ("exchange.caBundle",)),
    "passphrase": ({"exchange": {"passphrasePath": "a"}}, (OF_CREDENTIALS,)),
    "two": (
        {"strategy": {"image": "ghcr.io/example/arb:2.0"}, "mode": "Live"},
        ("image", "mode"),
    ),
}


def declared(spec: JsonObject, *, revision: str = SECRET_VERSION) -> Running:
    subject = bot(spec)
    assert subject.spec is not None
    template, hash_ = manifests.pod_template(subject, subject.spec, revision)
    return Running.of(template, manifests.Config.declared(subject, subject.spec), hash_, revision)


def found(spec: JsonObject | None = None, *, revision: str | None = SECRET_VERSION) -> Running:
    """What an operator finds that has just started: the live template, with all defaults."""
    subject = bot(spec or {})
    assert subject.spec is not None
    config = manifests.Config.declared(subject, subject.spec)
    return Running.found(children_of(subject), config, revision)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("restarted", [False, True])
def test_each_change_is_named(name: str, restarted: bool) -> None:
    spec, expected = CHANGES[name]
    running = found() if restarted else declared({})
    causes = restart_causes(running, declared(spec), observed(), secret=SECRET)
    assert set(causes) == set(expected)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_other_credentials_are_named_also_if_their_revision_is_not_known(
    restarted: bool, known: bool
) -> None:
    revision = SECRET_VERSION if known else None
    running = found(revision=revision) if restarted else declared({})
    running = replace(running, revision=revision)
    causes = restart_causes(running, declared({}, revision="78"), observed(), secret=SECRET)
    assert causes == (OF_CREDENTIALS,)


def test_credentials_beside_another_change_are_named_too() -> None:
    wanted = declared({"mode": "Live"}, revision="78")
    causes = restart_causes(declared({}), wanted, observed(), secret=SECRET)
    assert set(causes) == {"mode", OF_CREDENTIALS}


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"spec": {"nodeSelector": {"a": "b"}}}, "pod.nodeSelector"),
        ({"spec": {"priorityClassName": "high"}}, "pod.priorityClassName"),
        ({"metadata": {"labels": {"team": "a"}}}, "pod.labels"),
    ],
)
@pytest.mark.parametrize("added", [True, False])
def test_any_other_field_of_the_pod_is_named_by_its_name(
    change: JsonObject, cause: str, added: bool
) -> None:
    before, (template, config) = declared({}), declared({}).unpacked()
    for part, fields in change.items():
        for field, value in fields.items():
            known = template[part].get(field)
            template[part][field] = {**known, **value} if isinstance(known, dict) else value
    after = Running.of(template, config, "other", SECRET_VERSION)
    pair = (before, after) if added else (after, before)
    assert restart_causes(*pair, observed(), secret=SECRET) == (cause,)


REMOVED = [name for name in CHANGES if name.startswith("pod.")] + ["proxy", "CA", "passphrase"]


@pytest.mark.parametrize("name", REMOVED)
@pytest.mark.parametrize("restarted", [False, True])
def test_what_is_no_longer_declared_is_named(name: str, restarted: bool) -> None:
    spec, expected = CHANGES[name]
    running = found(spec) if restarted else declared(spec)
    assert restart_causes(running, declared({}), observed(), secret=SECRET) == expected


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        (
            {"exchange": {"proxyURL": "http://a.example"}},
            {"exchange": {"proxyURL": "http://b.example"}},
            "exchange.proxyURL",
        ),
        (
            {"pod": {"files": [{"mountPath": "/a", "configMap": {"name": "a"}}]}},
            {"pod": {"files": [{"mountPath": "/a", "configMap": {"name": "b"}}]}},
            "pod.files",
        ),
        (
            {"pod": {"files": [{"mountPath": "/a", "configMap": {"name": "a"}}]}},
            {"pod": {"files": [{"mountPath": "/b", "configMap": {"name": "a"}}]}},
            "pod.files",
        ),
        (
            {"pod": {"storage": {"size": "1Gi", "mountPath": "/a"}}},
            {"pod": {"storage": {"size": "1Gi", "mountPath": "/b"}}},
            "pod.storage",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("restarted", [False, True])
def test_another_value_is_named_after_the_field_of_the_bot(
    before: JsonObject, after: JsonObject, cause: str, restarted: bool
) -> None:
    running = found(before) if restarted else declared(before)
    assert restart_causes(running, declared(after), observed(), secret=SECRET) == (cause,)


def test_what_others_have_added_is_not_named_beside_another_cause() -> None:
    subject = bot()
    children = children_of(subject)
    template = (children.deployment or {})["spec"]["template"]
    template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "now"
    template["spec"]["volumes"].append({"name": "mesh", "emptyDir": {}})
    assert subject.spec is not None
    config = manifests.Config.declared(subject, subject.spec)
    running = Running.found(children, config, SECRET_VERSION)
    rotated = restart_causes(running, declared({}, revision="78"), observed(), secret=SECRET)
    assert rotated == (OF_CREDENTIALS,)
    image = declared({"strategy": {"image": "ghcr.io/example/arb:2.0"}})
    assert restart_causes(running, image, observed(), secret=SECRET) == ("image",)


@pytest.mark.parametrize("policy", ["WhenFlat", "Manual"])
@pytest.mark.parametrize("name", CHANGES)
def test_what_waits_names_it(policy: str, name: str) -> None:
    spec, expected = CHANGES[name]
    live = {"mode": "Live", "updatePolicy": policy}
    changed = bot({**spec, **live})
    decided = plan(changed, observed(children_of(bot(live))), NOW)
    if name == "mode":
        return  # it is Live before and after
    assert decided.waiting is not None
    for cause in expected:
        if cause != "mode":
            assert cause in decided.waiting.message
    assert "kubectl annotate" in decided.waiting.message


def test_a_rotation_that_waits_names_the_secret() -> None:
    subject = bot({"mode": "Live"})
    seen = observed(children_of(subject), credentials=Credentials(version="78"))
    decided = plan(subject, seen, NOW)
    assert decided.waiting is not None
    assert OF_CREDENTIALS in decided.waiting.message


def rotated(harness: Harness) -> None:
    harness.cluster.put({**CREDENTIALS, "data": {**CREDENTIALS["data"], "api-key": "TkVX"}})


@pytest.mark.parametrize("name", ["image", "parameters", "resources", "key"])
def test_a_restart_posts_one_event_that_names_it(name: str) -> None:
    spec, expected = CHANGES[name]

    async def scenario() -> None:
        harness = Harness({"updatePolicy": "Immediate"})
        harness.cluster.put({**CREDENTIALS, "data": {**CREDENTIALS["data"], "other": "VkFMVUU="}})
        await harness.run()
        harness.cluster.posted.clear()
        harness.edit(spec=spec)
        await harness.run()
        messages = [e["message"] for e in harness.cluster.posted if e["reason"] == "Restarting"]
        assert messages == [f"Restarting the bot for a change of {', '.join(expected)}"]

    play(scenario)


@pytest.mark.parametrize("restart", [False, True])
def test_a_rotation_restarts_the_bot_and_the_same_values_do_not(restart: bool) -> None:
    async def scenario() -> None:
        harness = Harness({"updatePolicy": "Immediate"})
        await harness.run()
        before = harness.cluster.objects[DEPLOYMENT]["spec"]["template"]
        for number in range(3):
            meta = {**CREDENTIALS["metadata"], "annotations": {"refreshed": str(number)}}
            harness.cluster.put({**CREDENTIALS, "metadata": meta})
            if restart:
                harness.context = harness.started()
            harness.cluster.writes.clear()
            await harness.settle()
        assert harness.cluster.objects[DEPLOYMENT]["spec"]["template"] == before
        assert condition(harness, "RolloutPending")[0] == "False"
        rotated(harness)
        harness.cluster.posted.clear()
        await harness.run()
        assert harness.cluster.objects[DEPLOYMENT]["spec"]["template"] != before
        (event,) = [e for e in harness.cluster.posted if e["reason"] == "Restarting"]
        assert event["message"].endswith(f"a change of {OF_CREDENTIALS}")

    play(scenario)


def test_a_rotation_that_waits_is_told_once_and_known_to_the_next_operator() -> None:
    async def scenario() -> None:
        harness = Harness({"mode": "Live"})
        await harness.run()
        rotated(harness)
        await harness.settle()
        status = harness.cluster.objects[BOT]["status"]
        (waits,) = [item for item in status["conditions"] if item["type"] == "RolloutPending"]
        assert OF_CREDENTIALS in waits["message"]
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await harness.settle()
        harness.context = harness.started()
        harness.cluster.writes.clear()
        await harness.settle()
        status = harness.cluster.objects[BOT]["status"]
        (waits,) = [item for item in status["conditions"] if item["type"] == "RolloutPending"]
        assert OF_CREDENTIALS in waits["message"]
        assert "image" in waits["message"]
        told = [e["message"] for e in harness.cluster.posted if e["reason"] == "RolloutPending"]
        assert len(told) == 2

    play(scenario)


def test_a_pod_that_others_have_changed_is_restarted_with_an_event_that_says_so() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        spec = harness.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]
        bot_of_others = {**spec["containers"][0], "image": "evil.example/arb:1.0"}
        change = {"template": {"spec": {"containers": [bot_of_others]}}}
        harness.cluster.edit(*DEPLOYMENT, spec=change)
        await harness.settle()
        (event,) = [e for e in harness.cluster.posted if e["reason"] == "Restarting"]
        assert event["message"] == "Restarting the bot: others had changed image"

    play(scenario)


def test_a_bot_that_is_stopped_takes_a_change_without_a_restart() -> None:
    async def scenario() -> None:
        harness = Harness({"paused": True})
        await harness.run()
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await harness.run()
        assert ("Normal", "Restarting") not in harness.cluster.events()

    play(scenario)


def test_a_change_of_why_a_restart_waits_is_no_new_event() -> None:
    def status(message: str) -> JsonObject:
        waits = {"type": "RolloutPending", "status": "True", "reason": "x", "message": message}
        return {"phase": "Running", "conditions": [waits]}

    def told(before: str, after: str) -> list[str]:
        return [reason for _, reason, _ in transitions(status(before), status(after))]

    assert told("for image; a", "for image; b") == []
    assert told("for image; a", "for image, mode; a") == ["RolloutPending"]
