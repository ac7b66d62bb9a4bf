"""The history of assets, and the feed of changes."""

import hashlib
import http.client
import json
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from registry_harness import ASSETS, DEADLINE_SECONDS, Api, refusal, serving
from tradingbot_registry.inventory.history import redacted
from tradingbot_registry.rest.long_poll import KEY, LongPoll
from tradingbot_registry.storage.engine import Database

CHANGES = "/api/v1/changes"


def changes(api: Api, query: str = "since=0") -> Any:
    response = api.client.get(f"{CHANGES}?{query}")
    assert response.status_code == 200, response.text
    return response.json


def test_each_version_has_one_entry_with_what_was_changed(api: Api) -> None:
    asset = api.add("a", config={"x": 1}, tags=["t"])
    api.patch(asset["id"], {"name": "b", "config": {"y": None}}, X_Request_ID="mine")
    api.patch(asset["id"], {"name": "b"})
    assert api.client.delete(f"{ASSETS}/{asset['id']}").status_code == 204
    found = api.client.get(f"{ASSETS}/{asset['id']}/changes").json
    created, updated, deleted = found["changes"]
    assert (created["action"], created["version"], created["before"]) == ("created", 1, None)
    assert created["after"]["config"] == {"x": 1}
    assert (created["actor"], created["at"]) == ("anonymous", asset["createdAt"])
    assert (updated["before"], updated["after"]) == ({"name": "a"}, {"name": "b"})
    assert (updated["requestId"], updated["version"]) == ("mine", 2)
    assert (deleted["action"], deleted["after"]) == ("deleted", None)
    assert deleted["before"] == {**created["after"], "name": "b"}
    assert found == changes(api)
    path = f"{ASSETS}/{asset['id']}/changes"
    assert api.client.get(f"{path}?since={created['seq']}&limit=1").json["changes"] == [updated]
    refusal(api.client.get(f"{ASSETS}/{UUID(int=0)}/changes"), 404, "asset-not-found")


def test_what_is_refused_leaves_no_entry(api: Api) -> None:
    asset = api.add("a")
    last = changes(api)["last"]
    refusal(api.patch(asset["id"], {"dependsOn": [asset["id"]]}), 409, "dependency-cycle")
    refusal(api.patch(asset["id"], {"name": "b"}, If_Match='"7"'), 412, "precondition-failed")
    assert api.client.delete(f"{ASSETS}/{asset['id']}?dry_run=true").status_code == 200
    assert changes(api)["last"] == last


@pytest.mark.parametrize("query", ["force=true", "unresolve=true"])
def test_dependents_show_what_a_deletion_and_a_return_did_to_them(api: Api, query: str) -> None:
    ref = "crd/default/target"
    target = api.upsert(ref).json
    needs = api.add("needs", ref, "a/b/late")
    last = changes(api)["last"]
    assert api.client.delete(f"{ASSETS}/by-ref/{ref}?{query}").status_code == 204
    left = ["a/b/late"] if query == "force=true" else ["a/b/late", ref]
    gone, rewired = changes(api, f"since={last}")["changes"]
    assert (gone["action"], gone["externalRef"]) == ("deleted", ref)
    assert (rewired["assetId"], rewired["version"]) == (needs["id"], 2)
    assert rewired["before"] == {"dependsOn": [target["id"], "a/b/late"]}
    assert rewired["after"] == {"dependsOn": left}
    back = api.upsert(ref).json
    found = changes(api, f"since={rewired['seq']}")["changes"]
    assert [entry["assetId"] for entry in found] == [
        back["id"],
        *([needs["id"]] if ref in left else []),
    ]
    assert api.get(needs["id"])["version"] == (3 if ref in left else 2)


def test_a_follower_of_the_feed_has_the_inventory(api: Api) -> None:
    """From a list and the number before it, in small steps."""
    first = api.add("first")
    last = changes(api, "")["last"]
    assert changes(api, "")["changes"] == []
    names = {asset["id"]: asset["name"] for asset in api.client.get(ASSETS).json}
    second = api.add("second", first["id"])
    api.patch(first["id"], {"name": "renamed"})
    assert api.client.delete(f"{ASSETS}/{first['id']}?force=true").status_code == 204
    while True:
        part = changes(api, f"since={last}&limit=1")
        if not part["changes"]:
            break
        (entry,) = part["changes"]
        if entry["action"] == "deleted":
            del names[entry["assetId"]]
        else:
            names[entry["assetId"]] = entry["name"]
        last = part["last"]
    assert names == {second["id"]: "second"}
    assert part["last"] == last


def test_only_one_who_asks_for_what_comes_after_a_number_waits(api: Api) -> None:
    """Without a number, what is waited for would not be shown."""
    for query, seconds in (("wait=5", 0), ("since=0", 0), ("since=0&wait=5", 5)):
        poll = LongPoll()
        api.client.get(f"{CHANGES}?{query}", environ_overrides={KEY: poll})
        assert poll.seconds == seconds, query


def test_a_number_from_the_future_is_refused(api: Api) -> None:
    """As after the restore of a backup: what the client missed can't be told."""
    problem = refusal(api.client.get(f"{CHANGES}?since=5"), 422, "invalid")
    assert problem["errors"][0]["parameter"] == "since"
    for query in ("since=-1", "wait=31", "limit=0", "since=x"):
        refusal(api.client.get(f"{CHANGES}?{query}"), 422, "invalid")


def test_a_credential_of_before_a_rule_is_not_kept(api: Api, database: Database) -> None:
    asset = api.add("a", config={"x": [{"y": 1}]})
    with database.connection_context():
        database.execute_sql('UPDATE asset SET config = \'{"x": [{"password": "hunter2"}]}\'')
    api.patch(asset["id"], {"name": "b"})
    assert api.client.delete(f"{ASSETS}/{asset['id']}").status_code == 204
    text = api.client.get(f"{CHANGES}?since=0").text
    assert "hunter2" not in text
    assert changes(api)["changes"][-1]["before"]["config"] == {"x": [{"password": "(redacted)"}]}
    assert redacted("Other", {"host": "h"}) == {"host": "h"}


def test_a_change_that_is_redacted_is_named_all_the_same(api: Api) -> None:
    """What looks random may be a credential: it is stored, and not shown in the history."""
    old, new = (hashlib.sha1(text).hexdigest() for text in (b"old", b"new"))
    asset = api.add("a", config={"x": old})
    api.patch(asset["id"], {"config": {"x": new}})
    entry = changes(api)["changes"][-1]
    assert entry["before"] == entry["after"] == {"config": {"x": "(redacted)"}}


@pytest.fixture
def one_thread(tmp_path: Path) -> Any:
    """A live server with one thread: what waits must not hold it."""
    with serving(tmp_path / "r.db", tmp_path / "log", TRADINGBOT_REGISTRY_THREADS="1") as server:
        yield server


def test_the_feed_waits_for_a_change_without_a_thread(one_thread: Any) -> None:
    server = one_thread
    answers: list[Any] = []

    def follow() -> None:
        answers.append(server.call("GET", f"{CHANGES}?since=0&wait=30"))

    followers = [threading.Thread(target=follow) for _ in range(5)]
    for follower in followers:
        follower.start()
    # Others are served while five wait on a server with one thread.
    for _ in range(3):
        assert server.call("GET", ASSETS)[0] == 200
    assert answers == []
    begun = time.monotonic()
    status, asset = server.call("POST", ASSETS, {"name": "a", "type": "Other"})
    assert status == 201
    for follower in followers:
        follower.join(DEADLINE_SECONDS)
    assert time.monotonic() - begun < 25
    assert len(answers) == 5
    for status, answer in answers:
        assert (status, [entry["assetId"] for entry in answer["changes"]]) == (200, [asset["id"]])
    assert server.call("GET", f"{CHANGES}?since=1&wait=1") == (200, {"changes": [], "last": 1})
    counted = f'requests_total{{code="200",method="GET",route="{CHANGES}"}} 6.0'
    assert counted in server.call("GET", "/metrics")[1]


def test_a_stop_answers_those_who_wait(one_thread: Any) -> None:
    server = one_thread
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_SECONDS)
    connection.request("GET", f"{CHANGES}?since=0&wait=30")
    # The one thread has begun with the first request when it answers the second.
    assert server.call("GET", ASSETS)[0] == 200
    begun = time.monotonic()
    server.process.terminate()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (200, {"changes": [], "last": 0})
    assert time.monotonic() - begun < 20
