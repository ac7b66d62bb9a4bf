"""What callers see who may read the assets of some namespaces only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from registry_harness import ASSETS, Api, TickingClock, refusal
from tradingbot_registry.app import create_app
from tradingbot_registry.refusals import ForbiddenError
from tradingbot_registry.storage.engine import Database
from werkzeug.test import TestResponse

EVERYWHERE = ""


@dataclass
class RoleGate:
    """Lets `reader` use verbs in the namespaces of its roles, and everybody else do everything."""

    roles: set[tuple[str, str]] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def admit(
        self, authorization: str | None, verbs: tuple[str, ...], namespaces: Sequence[str] = ()
    ) -> str:
        if authorization != "reader":
            return "admin"
        for verb in verbs:
            for namespace in namespaces or (EVERYWHERE,):
                self.asked.append((verb, namespace))
                if (verb, namespace) not in self.roles:
                    raise ForbiddenError(f"no {verb} in {namespace or 'all namespaces'}")
        return "reader"


@pytest.fixture
def gate() -> RoleGate:
    return RoleGate({("get", "ours"), ("list", "ours")})


@pytest.fixture
def api(database: Database, gate: RoleGate) -> Api:
    return Api(create_app(database, gate=gate, clock=TickingClock()).test_client())


@dataclass(frozen=True)
class Inventory:
    """user -> ours -> theirs -> base, where base and theirs have failed; and `beside` in ours."""

    user: Any
    ours: Any
    theirs: Any
    base: Any
    beside: Any


@pytest.fixture
def inventory(api: Api) -> Inventory:
    def put(ref: str, *depends_on: str, status: str = "Active") -> Any:
        response = api.upsert(ref, name=ref, dependsOn=list(depends_on), status=status)
        assert response.status_code == 201, response.text
        return response.json

    base = put("crd/ours/base", status="Failed")
    theirs = put("crd/theirs/x", "crd/ours/base", status="Failed")
    ours = put("tradingbot/ours/bot", "crd/theirs/x")
    user = api.add("user", ours["id"])
    return Inventory(user, ours, theirs, base, put("crd/ours/beside"))


def read(api: Api, path: str) -> TestResponse:
    return api.client.get(path, headers={"Authorization": "reader"})


def refs(response: TestResponse) -> list[str]:
    assert response.status_code == 200, response.text
    return [asset["externalRef"] for asset in response.json]


OURS = ["crd/ours/base", "tradingbot/ours/bot", "crd/ours/beside"]


@pytest.mark.usefixtures("inventory")
def test_a_list_of_a_namespace_has_the_assets_of_that_namespace(api: Api) -> None:
    response = read(api, f"{ASSETS}?namespace=ours")
    assert refs(response) == OURS
    assert '"total": 3' in response.headers["X-Pagination"]
    # It means the same to everybody.
    assert refs(api.client.get(f"{ASSETS}?namespace=ours")) == OURS
    assert len(api.client.get(f"{ASSETS}?namespace=ours&namespace=theirs").json) == 4
    facets = read(api, "/api/v1/facets?namespace=ours").json
    assert (facets["total"], facets["effectiveStatus"][0]["count"]) == (3, 1)


def test_other_namespaces_and_the_whole_are_refused(
    api: Api, inventory: Inventory, gate: RoleGate
) -> None:
    paths = [ASSETS, "/api/v1/facets", "/api/v1/graph", "/api/v1/changes"]
    paths += [f"{ASSETS}/{inventory.ours['id']}/{walk}" for walk in ("dependencies", "dependents")]
    for path in paths:
        assert read(api, f"{path}?namespace=ours").status_code == 200, path
        for query in ("", "namespace=theirs", "namespace=ours&namespace=theirs", "namespace="):
            refusal(read(api, f"{path}?{query}"), 403, "forbidden")
        many = "&".join(f"namespace=n{number}" for number in range(60))
        gate.asked.clear()
        refusal(read(api, f"{path}?{many}"), 403, "forbidden")
        assert gate.asked == [("list", EVERYWHERE)]
    found = refusal(api.client.get(f"{ASSETS}?{many}"), 422, "invalid")["errors"]
    assert [error["parameter"] for error in found] == ["namespace"]


def test_an_asset_is_shown_if_its_own_namespace_may_be_read(api: Api, inventory: Inventory) -> None:
    by_ref = f"{ASSETS}/by-ref"
    ours = inventory.ours["id"]
    for path in (f"{ASSETS}/{ours}", f"{by_ref}/tradingbot/ours/bot", f"{ASSETS}/{ours}/changes"):
        assert read(api, path).status_code == 200, path
    unknown = str(UUID(int=7))
    answers = [
        read(api, f"{ASSETS}/{id_}{end}")
        for id_ in (inventory.theirs["id"], inventory.user["id"], unknown)
        for end in ("", "/changes")
    ]
    answers += [
        read(api, f"{by_ref}/{ref}") for ref in ("crd/theirs/x", "crd/theirs/none", "a/b/c")
    ]
    # Nothing tells an asset that must not be seen from one that does not exist.
    details = {refusal(answer, 403, "forbidden")["detail"] for answer in answers}
    assert details == {"no get in all namespaces"}
    refusal(read(api, f"{by_ref}/crd/ours/none"), 404, "asset-not-found")


def test_a_deleted_asset_keeps_its_history_for_its_namespace(
    api: Api, inventory: Inventory
) -> None:
    for ref, id_, status in (
        ("crd/ours/beside", inventory.beside["id"], 200),
        ("crd/theirs/x", inventory.theirs["id"], 403),
    ):
        gone = api.client.delete(f"{ASSETS}/by-ref/{ref}?unresolve=true")
        assert gone.status_code == 204, gone.text
        assert read(api, f"{ASSETS}/{id_}/changes").status_code == status


def test_of_an_edge_that_leaves_the_namespace_the_id_is_seen_and_the_effect(
    api: Api, inventory: Inventory
) -> None:
    path = f"{ASSETS}/{inventory.ours['id']}"
    seen, whole = read(api, path).json, api.get(inventory.ours["id"])
    assert seen["dependsOn"] == [inventory.theirs["id"]]
    assert seen["effectiveStatus"] == "Degraded"
    assert [cause["externalRef"] for cause in seen["causedBy"]] == ["crd/ours/base"]
    assert seen["moreCauses"] is True
    assert len(whole["causedBy"]) == 2
    assert [asset for asset in read(api, f"{ASSETS}?namespace=ours").json if asset == seen]
    assert refs(read(api, f"{path}/dependencies?namespace=ours")) == ["crd/ours/base"]
    assert refs(read(api, f"{path}/dependents?namespace=ours")) == []
    for root in ("", f"&root={inventory.ours['id']}"):
        graph = read(api, f"/api/v1/graph?namespace=ours{root}").json
        shown = {node["externalRef"] for node in graph["nodes"]}
        assert shown == {"crd/ours/base", "tradingbot/ours/bot"} | (
            {OURS[2]} if not root else set()
        )
        assert graph["edges"] == []
        assert "theirs" not in str(graph)
    for path in (
        f"graph?root={inventory.theirs['id']}",
        f"assets/{inventory.theirs['id']}/dependents",
    ):
        join = "&" if "?" in path else "?"
        refusal(read(api, f"/api/v1/{path}{join}namespace=ours"), 404, "asset-not-found")


def test_a_hidden_cause_that_goes_makes_another_etag(api: Api, inventory: Inventory) -> None:
    api.upsert("crd/ours/base", name="base", status="Active")
    path = f"{ASSETS}/{inventory.ours['id']}"
    before = read(api, path)
    assert (before.json["causedBy"], before.json["moreCauses"]) == ([], True)
    api.upsert("crd/theirs/x", name="x", dependsOn=["crd/ours/base"], status="Active")
    headers = {"Authorization": "reader", "If-None-Match": before.headers["ETag"]}
    after = api.client.get(path, headers=headers)
    assert (after.status_code, after.json["effectiveStatus"]) == (200, "Active")


@pytest.mark.usefixtures("inventory")
def test_the_feed_of_a_namespace_passes_over_what_happens_elsewhere(api: Api) -> None:
    feed = read(api, "/api/v1/changes?namespace=ours&since=0").json
    assert {change["externalRef"] for change in feed["changes"]} == set(OURS)
    api.upsert("crd/theirs/y")
    api.upsert("crd/ours/new")
    api.upsert("crd/theirs/z")
    after = read(api, f"/api/v1/changes?namespace=ours&since={feed['last']}").json
    assert [change["externalRef"] for change in after["changes"]] == ["crd/ours/new"]
    newest = api.client.get("/api/v1/changes").json["last"]
    assert after["last"] == newest
    part = read(api, "/api/v1/changes?namespace=ours&since=0&limit=1").json
    assert part["last"] == part["changes"][-1]["seq"] < newest


def test_writes_are_not_opened_by_a_namespace(
    api: Api, inventory: Inventory, gate: RoleGate
) -> None:
    gate.roles |= {(verb, "ours") for verb in ("create", "update", "patch", "delete")}
    headers = {"Authorization": "reader"}
    by_ref = f"{ASSETS}/by-ref/crd/ours/base"
    path = f"{ASSETS}/{inventory.base['id']}"
    for method, target in (
        *(("POST", place) for place in (ASSETS, f"{ASSETS}:batch")),
        *((method, path) for method in ("PUT", "PATCH", "DELETE")),
        *((method, by_ref) for method in ("PUT", "DELETE")),
    ):
        answer = api.client.open(
            f"{target}?namespace=ours", method=method, headers=headers, json={}
        )
        refusal(answer, 403, "forbidden")
