"""Fields that a tenant adds to a child, on the real API server: removed, or listed."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import kopf
import pytest
from guarded_cases import (
    DRIFT,
    EVIL,
    HOLD,
    LISTED,
    NO_TMP,
    NOT_TRIED,
    PIPE,
    REPLACED,
    Case,
    container,
    name_of,
    pod,
    service,
)
from operator_harness import NOW, bot, observed
from tradingbot_api.model import JsonObject
from tradingbot_dev.control_plane.pki import ADMIN
from tradingbot_dev.control_plane.plane import ControlPlane
from tradingbot_operator.bots.children.drift import corrections, is_subset_of_live, must_replace
from tradingbot_operator.bots.children.guarded_fields import RULES, Verdict
from tradingbot_operator.bots.plan import plan
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.cluster.reading.foreign_fields import NOT_RECORDED, foreign_fields

NAMESPACE = "guarded"


def test_every_rule_is_tried() -> None:
    tried = {(case.kind, field) for case in (*DRIFT, *REPLACED, *LISTED) for field in case.fields}
    rules = {(rule.kind, rule.path) for rule in RULES}
    # A single-stack cluster refuses other families, and fills these two in.
    untried = rules - tried - {("Service", "spec.ipFamilies")}
    assert {path for _, path in untried} == set(NOT_TRIED)
    assert tried <= rules


def test_every_case_does_what_its_rule_says() -> None:
    # Some fields of data and of volumes are listed, others are not.
    verdicts = {(rule.kind, rule.path): rule.verdict for rule in RULES}
    for case in LISTED:
        for path in case.fields:
            exempt = path.endswith("initContainers")
            assert exempt or verdicts[case.kind, path] is Verdict.LISTED, path


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    control_plane.kubectl("create", "namespace", NAMESPACE, check=True)
    yield control_plane
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=True)


def manifests(name: str) -> dict[str, JsonObject]:
    """Return the manifests without owners and pods.

    The garbage collector would delete the children of a bot that does not exist, if another test
    has installed the CRDs. No test here needs a pod, and to make one takes longer than the test.
    """
    subject = bot(metadata={"name": name, "namespace": NAMESPACE})
    found = {manifest["kind"]: manifest for manifest in plan(subject, observed(), NOW).manifests}
    for manifest in found.values():
        del manifest["metadata"]["ownerReferences"]
    found["Deployment"]["spec"]["replicas"] = 0
    return found


def with_api(plane: ControlPlane, call: Callable[[KubernetesApi], Awaitable[Any]]) -> Any:
    async def login() -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=plane.server,
            ca_path=str(plane.pki.ca),
            certificate_path=str(plane.pki.certificate(ADMIN)),
            private_key_path=str(plane.pki.key(ADMIN)),
        )

    async def main() -> Any:
        api = KubernetesApi(login)
        try:
            return await call(api)
        finally:
            await api.close()

    return asyncio.run(main())


def tenant_patches(plane: ControlPlane, case: Case, name: str) -> None:
    type_ = "json" if isinstance(case.patch, list) else "strategic"
    plane.kubectl(
        *("patch", case.kind, name, "-n", NAMESPACE, "--type", type_),
        *("--patch", json.dumps(case.patch)),
        check=True,
    )


async def put_right(api: KubernetesApi, live: JsonObject, manifest: JsonObject) -> JsonObject:
    """Do what the operator does: corrections, an apply, and the corrections after it."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    for _ in range(20):
        patch = corrections(live, manifest)
        try:
            if patch is not None:
                live = await api.merge(kind, NAMESPACE, name, patch)
        except KubernetesError as error:
            if not error.is_conflict:
                raise
            # The Deployment controller has written its status meanwhile.
            live = await api.get(kind, NAMESPACE, name) or {}
            continue
        if is_subset_of_live(manifest, live):
            return live
        live = await api.apply(manifest)
    raise AssertionError("it is never as declared")


def shown(live: JsonObject) -> JsonObject:
    """All but the metadata and the status; a Service that was an alias has another address."""
    spec = {key: value for key, value in live.get("spec", {}).items() if "clusterIP" not in key}
    return {"spec": spec, "data": live.get("data"), "binaryData": live.get("binaryData")}


@pytest.mark.parametrize("case", DRIFT, ids=name_of)
def test_what_a_tenant_adds_is_taken_off_again(plane: ControlPlane, case: Case) -> None:
    manifest = manifests(name_of(case))[case.kind]
    name = manifest["metadata"]["name"]

    async def run(api: KubernetesApi) -> None:
        before = await api.apply(manifest)
        assert corrections(before, manifest) is None
        tenant_patches(plane, case, name)
        live = await api.get(case.kind, NAMESPACE, name)
        assert live is not None
        assert corrections(live, manifest) is not None or not is_subset_of_live(manifest, live)
        after = await put_right(api, live, manifest)
        assert corrections(after, manifest) is None
        assert foreign_fields(after) == LEFT.get(case.fields[0], ())
        for part in LEFT_SPEC.get(case.fields[0], ()):
            assert after["spec"].pop(part) != before["spec"].pop(part)
        if case.fields[0] != "spec.template.spec.initContainers":
            assert shown(after) == shown(before)
        assert case.kind != "Service" or after["spec"]["clusterIP"]

    with_api(plane, run)


LEFT = {
    "spec.minReadySeconds": ("spec.progressDeadlineSeconds",),
    "spec.template.spec.initContainers": ("spec.template.spec.containers[name=other]",),
}
"""The fields of a case that are listed."""

LEFT_SPEC = {"spec.minReadySeconds": ("progressDeadlineSeconds",)}


@pytest.mark.parametrize("case", LISTED, ids=name_of)
def test_what_a_tenant_adds_is_left_alone_and_listed(plane: ControlPlane, case: Case) -> None:
    manifest = manifests(name_of(case))[case.kind]
    name = manifest["metadata"]["name"]

    async def run(api: KubernetesApi) -> None:
        assert foreign_fields(await api.apply(manifest)) == ()
        tenant_patches(plane, case, name)
        live = await api.get(case.kind, NAMESPACE, name)
        assert live is not None
        assert corrections(live, manifest) is None
        assert is_subset_of_live(manifest, live)
        assert must_replace(live, manifest) is None
        expected = case.fields[0].replace("containers[]", "containers[name=bot]")
        found = foreign_fields(live)
        assert found
        assert any(path.startswith(expected) for path in found), found
        assert all(len(path) <= 200 for path in found)

    with_api(plane, run)


def test_a_device_in_the_place_of_a_declared_directory_is_taken_off(plane: ControlPlane) -> None:
    manifest = manifests("device")["Deployment"]
    mounts = {"volumeMounts": [NO_TMP], "volumeDevices": [{"name": "blk", "devicePath": "/tmp"}]}
    case = pod("", volumes=[PIPE], containers=[{"name": "bot", **mounts}])

    async def run(api: KubernetesApi) -> None:
        await api.apply(manifest)
        tenant_patches(plane, case, "device")
        with pytest.raises(KubernetesError, match="must not already exist"):
            await api.apply(manifest)
        live = await api.get("Deployment", NAMESPACE, "device")
        assert live is not None
        after = await put_right(api, live, manifest)
        assert is_subset_of_live(manifest, after)
        assert foreign_fields(after) == ("spec.template.spec.volumes[name=blk]",)

    with_api(plane, run)


def test_a_paused_deployment_goes_on_only_with_the_declared_template(plane: ControlPlane) -> None:
    manifest = manifests("held")["Deployment"]
    image = {"containers": [{"name": "bot", "image": "old:1"}]}
    case = Case("Deployment", (), {"spec": {"paused": True, "template": {"spec": image}}})

    async def run(api: KubernetesApi) -> None:
        await api.apply(manifest)
        tenant_patches(plane, case, "held")
        live = await api.get("Deployment", NAMESPACE, "held")
        assert live is not None
        assert corrections(live, manifest) is None
        applied = await api.apply(manifest)
        assert corrections(applied, manifest) == {"spec": {"paused": None}}

    with_api(plane, run)


def test_a_patch_of_a_list_is_a_conflict_if_somebody_changes_it_meanwhile(
    plane: ControlPlane,
) -> None:
    manifest = manifests("raced")["Deployment"]

    async def run(api: KubernetesApi) -> None:
        await api.apply(manifest)
        tenant_patches(plane, container("lifecycle", lifecycle=HOLD), "raced")
        live = await api.get("Deployment", NAMESPACE, "raced")
        assert live is not None
        patch = corrections(live, manifest)
        assert patch is not None
        sidecar = pod("containers", containers=[{"name": "sidecar", "image": "mesh:1"}])
        tenant_patches(plane, sidecar, "raced")
        with pytest.raises(KubernetesError) as refused:
            await api.merge("Deployment", NAMESPACE, "raced", patch)
        assert refused.value.is_conflict

    with_api(plane, run)


def test_what_no_patch_can_put_right_must_be_replaced(plane: ControlPlane) -> None:
    own = manifests("replaced")

    async def run(api: KubernetesApi) -> None:
        live = {kind: await api.apply(manifest) for kind, manifest in own.items()}
        assert [must_replace(live[kind], own[kind]) for kind in own] == [None] * 3
        tenant_patches(plane, REPLACED[0], "replaced-config")
        with pytest.raises(KubernetesError, match="immutable"):
            await api.apply({**own["ConfigMap"], "data": {"bot.json": "{}"}})
        # A type without an address leaves the Service headless.
        headless = {"type": "ClusterIP", "externalName": None, "clusterIP": "None"}
        tenant_patches(plane, service("", type="ExternalName", externalName=EVIL), "replaced")
        tenant_patches(plane, service("", **headless), "replaced")
        await api.apply(own["Service"])
        # Only a Deployment that was deleted and created again has another selector.
        plane.kubectl("delete", "deployment", "replaced", "-n", NAMESPACE, check=True)
        selector = {"matchLabels": {**own["Deployment"]["spec"]["selector"]["matchLabels"]}}
        selector["matchLabels"]["app.kubernetes.io/component"] = "bot"
        spec = {**own["Deployment"]["spec"], "selector": selector}
        await api.apply({**own["Deployment"], "spec": spec})
        with pytest.raises(KubernetesError, match="immutable"):
            await api.apply(own["Deployment"])
        reasons = []
        for kind, manifest in own.items():
            found = await api.get(kind, NAMESPACE, manifest["metadata"]["name"])
            assert found is not None
            reasons.append(must_replace(found, manifest))
        assert reasons == [
            "it is immutable",
            "it is headless: spec.clusterIP is None",
            "spec.selector is not the bot's, and can't be changed",
        ]

    with_api(plane, run)


def test_a_record_that_was_wiped_is_said_and_begun_again_by_an_apply(plane: ControlPlane) -> None:
    manifest = manifests("wiped")["Deployment"]
    wipe = [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]

    async def run(api: KubernetesApi) -> None:
        await api.apply(manifest)
        tenant_patches(plane, pod("", hostPID=True), "wiped")
        tenant_patches(plane, Case("Deployment", (), wipe), "wiped")
        live = await api.get("Deployment", NAMESPACE, "wiped")
        assert foreign_fields(live) == (NOT_RECORDED,)
        # The existing fields are then recorded as somebody else's, with all defaults.
        assert foreign_fields(await api.apply(manifest)) == ("spec.template.spec.hostPID",)

    with_api(plane, run)
