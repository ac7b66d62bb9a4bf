"""Whatever is wrong comes as a problem: named, complete, and with nothing of the inside."""

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry_harness import ASSETS, ON_SQLITE, Api, refusal
from tradingbot_registry.inventory import listing
from tradingbot_registry.rest.requests import CreateSchema
from tradingbot_registry.storage.engine import Database

GOOD = {"name": "a", "type": "Other"}


def post(api: Api, body: bytes | str, content_type: str = "application/json") -> Any:
    return api.client.post(ASSETS, data=body, content_type=content_type)


def test_a_path_that_is_not_there_is_a_problem(api: Api) -> None:
    for path in ("/nothing", "/api/v1", f"{ASSETS}/not-a-uuid", f"{ASSETS}/", f"{ASSETS}/by-ref/a"):
        problem = refusal(api.client.get(path), 404)
        assert problem["instance"] == path


def test_a_method_that_is_not_there_is_a_problem_that_names_the_others(api: Api) -> None:
    response = api.client.delete(ASSETS)
    refusal(response, 405)
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""]
)
def test_a_body_of_another_type_is_not_guessed_at(api: Api, content_type: str) -> None:
    refusal(post(api, json.dumps(GOOD), content_type), 415, "unsupported-media-type")


def test_a_body_over_a_mebibyte_is_refused(api: Api) -> None:
    body = json.dumps(GOOD).ljust(1024 * 1024)
    assert post(api, body).status_code == 201
    refusal(post(api, body + " "), 413, "too-large")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": "a", "name": "b", "type": "Other"}',
        b'{"name": "a", "type": "Other", "config": {"n": NaN}}',
        b'{"name": "a", "type": "Other", "config": {"n": 1e999}}',
        b'{"name": "a\\ud800", "type": "Other"}',
        b'{"name": "\xff", "type": "Other"}',
        b'{"name": "a", "type": "Other", "config": ' + b'{"a":' * 70 + b"1" + b"}" * 71,
        b"[" * 100_000,
        b'{"n": ' + b"1" * 5000 + b"}",
    ],
)
def test_what_is_not_json_or_not_storable_is_malformed(api: Api, body: bytes) -> None:
    refusal(post(api, body), 400, "malformed")


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"name": None, "type": None}, ["/name", "/type"]),
        ({"name": ""}, ["/name"]),
        ({"name": " a"}, ["/name"]),
        ({"name": "a\nb"}, ["/name"]),
        ({"name": "a" * 254}, ["/name"]),
        ({"name": 5}, ["/name"]),
        ({"type": "Nope"}, ["/type"]),
        ({"type": ["Other"]}, ["/type"]),
        ({"status": "active"}, ["/status"]),
        ({"description": "x" * 1025}, ["/description"]),
        ({"tags": ["Upper", "ok", "ok ", "new\n"]}, ["/tags/0", "/tags/2", "/tags/3"]),
        ({"tags": ["a", "a"]}, ["/tags"]),
        ({"tags": [f"t{number}" for number in range(33)]}, ["/tags"]),
        ({"tags": "a"}, ["/tags"]),
        ({"config": []}, ["/config"]),
        ({"config": {"blob": "x" * 17_000}}, ["/config"]),
        ({"type": "ApiEndpoint"}, ["/config/url"]),
        (
            {"type": "DatabaseConnection", "config": {"host": "h"}},
            ["/config/engine", "/config/database"],
        ),
        ({"secretRef": {"name": "No"}}, ["/secretRef/name", "/secretRef/key"]),
        ({"secretRef": {"name": "a", "key": "k", "value": "v"}}, ["/secretRef/value"]),
        ({"dependsOn": ["x", "a/b/c", "a/b/c"]}, ["/dependsOn/0"]),
        ({"dependsOn": ["a/b/c", "a/b/c"]}, ["/dependsOn"]),
        ({"colour": "red", "a/b~c": 1}, ["/colour", "/a~1b~0c"]),
        ({"name": "", "tags": [""], "type": "ApiEndpoint"}, ["/name", "/tags/0", "/config/url"]),
    ],
)
def test_everything_wrong_with_a_body_is_named_at_once(
    api: Api, changes: dict[str, Any], pointers: list[str]
) -> None:
    problem = refusal(api.client.post(ASSETS, json=GOOD | changes), 422, "invalid")
    assert sorted(error["pointer"] for error in problem["errors"]) == sorted(pointers)
    assert all(error["detail"] for error in problem["errors"])
    assert api.find() == []


@pytest.mark.parametrize("body", ["null", "[]", '"a"', "5", "true"])
def test_a_body_that_is_no_object_is_invalid_as_a_whole(api: Api, body: str) -> None:
    problem = refusal(post(api, body), 422, "invalid")
    assert [error["pointer"] for error in problem["errors"]] == [""]


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({"password": SECRET}, "/config/password"),
        ({"a": [{"b": {"API_KEY": SECRET}}]}, "/config/a/0/b/API_KEY"),
        ({"url": f"postgres://user:{SECRET}@db/orders"}, "/config/url"),
        ({"hosts": ["ok", f"https://{SECRET}@api.example.com"]}, "/config/hosts/1"),
        ({"": {"": {"passphrase": SECRET}}}, "/config///passphrase"),
        ({"token": SECRET}, "/config/token"),
        ({"client_secret": {"value": SECRET}}, "/config/client_secret/value"),
        ({"headers": {"Authorization": f"Bearer {SECRET}"}}, "/config/headers/Authorization"),
        ({"dsn": f"Server=db;Password={SECRET}"}, "/config/dsn"),
        ({"cert": f"-----BEGIN PRIVATE KEY-----\n{SECRET}"}, "/config/cert"),
        ({"url": f"https://api.example.com/?apikey={SECRET}"}, "/config/url"),
    ],
)
def test_a_credential_is_neither_stored_nor_echoed(
    api: Api, config: dict[str, Any], pointer: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    asset = api.add("a")
    answers = [
        api.client.post(ASSETS, json=GOOD | {"config": config}),
        api.client.put(f"{ASSETS}/{asset['id']}", json=GOOD | {"config": config}),
        api.patch(asset["id"], {"config": config}),
        api.upsert("crd/default/a", config=config),
    ]
    for answer in answers:
        problem = refusal(answer, 422, "invalid")
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
        assert SECRET not in answer.text
    assert SECRET not in caplog.text
    assert api.get(asset["id"]) == asset


def test_what_only_speaks_of_a_credential_or_looks_random_is_stored(api: Api) -> None:
    config = {
        "apiKeyHeader": "X-API-Key",
        "passwordPolicy": {"minLength": 12},
        "token": {"symbol": "USDC"},
        "dsn": "postgres://app:${PASSWORD}@db/orders",
        "channel": "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
    }
    assert api.add("a", config=config)["config"] == config


@pytest.fixture
def outdated(api: Api, database: Database) -> Any:
    """An asset that today's rules refuse in every field."""
    asset = api.add("a")
    config = json.dumps({"token": SECRET, "n": "\0"})
    with database.connection_context():
        change = "UPDATE asset SET name = ?, type = 'ApiEndpoint', description = ?, config = ?"
        # PostgreSQL has no NUL in a text.
        description = "x" * 2000 + ("" if database.shared else "\0")
        database.execute_sql(change.replace("?", database.param), (" a\n", description, config))
        database.execute_sql("INSERT INTO tag (id, name) VALUES (1, 'Old Tag')")
        database.execute_sql("INSERT INTO asset_tag SELECT seq, 1 FROM asset")
    return api.get(asset["id"])


def test_what_a_newer_rule_would_refuse_keeps_nobody_from_another_change(
    api: Api, outdated: Any
) -> None:
    path = f"{ASSETS}/{outdated['id']}"
    assert api.client.put(path, json=outdated).json == outdated
    assert api.patch(outdated["id"], {"secretRef": {"name": "s", "key": "k"}}).status_code == 200
    changed = {**outdated, "status": "Active"}
    assert api.client.put(path, json=changed).json["status"] == "Active"
    for field, good in (("tags", ["new"]), ("description", "new"), ("name", "new")):
        assert api.patch(outdated["id"], {field: good}).json[field] == good
    assert api.patch(outdated["id"], {"config": {"token": None, "n": None}}).status_code == 422
    fixed = {"config": {"token": None, "n": None, "url": "https://a"}}
    assert api.patch(outdated["id"], fixed).json["config"] == {"url": "https://a"}


def test_what_changes_is_held_to_the_newer_rule(api: Api, outdated: Any) -> None:
    for change, place in (
        ({"tags": ["Old Tag", "new"]}, "/tags/0"),
        ({"description": outdated["description"] + "x"}, "/description"),
        ({"name": " a"}, "/name"),
        ({"config": {"region": "eu"}}, "/config/token"),
        ({"type": "DatabaseConnection"}, "/config/engine"),
    ):
        problem = refusal(api.patch(outdated["id"], change), 422, "invalid")
        assert place in [error["pointer"] for error in problem["errors"]]
    assert api.get(outdated["id"]) == outdated


def test_an_owner_is_held_to_what_it_changes_too(api: Api, database: Database) -> None:
    api.upsert("crd/default/a", config={"a": 1})
    with database.connection_context():
        config = json.dumps({"token": SECRET})
        database.execute_sql(f"UPDATE asset SET config = {database.param}", (config,))
    stored = {"config": {"token": SECRET}}
    assert api.upsert("crd/default/a", tags=["t"], **stored).json["tags"] == ["t"]
    refusal(api.upsert("crd/default/a", config={"token": "other-secret"}), 422, "invalid")
    refusal(api.upsert("crd/default/b", **stored), 422, "invalid")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"description": "a\0b"}, "/description"),
        ({"config": {"a": [{"b": "\0"}]}}, "/config"),
        ({"config": {"a\0": 1}}, "/config"),
        ({"name": "a\0"}, "/name"),
        ({"tags": ["a\0"]}, "/tags/0"),
        ({"dependsOn": ["a/b/c\0"]}, "/dependsOn/0"),
        ({"secretRef": {"name": "a\0", "key": "k"}}, "/secretRef/name"),
    ],
)
def test_nul_is_not_stored(api: Api, change: dict[str, Any], place: str) -> None:
    asset = api.add("a")
    answers = [
        api.client.post(ASSETS, json=GOOD | change),
        api.client.put(f"{ASSETS}/{asset['id']}", json=GOOD | change),
        api.patch(asset["id"], change),
        api.upsert("crd/default/a", **({"name": "a"} | change)),
    ]
    for answer in answers:
        problem = refusal(answer, 422, "invalid")
        assert [error["pointer"] for error in problem["errors"]] == [place]
    assert api.get(asset["id"]) == asset


@pytest.mark.parametrize(
    "name",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with ZWNJ
        "\u0915\u094d\u200d\u0937",  # Hindi, with ZWJ
        "\U0001f468\u200d\U0001f4bb",  # an emoji, with ZWJ
        "\u6ce8\u6587\u3000\u53f0\u5e33",  # ideographic space
        "10\u00a0000 orders",  # no-break space
    ],
)
def test_a_name_in_any_language_is_taken(api: Api, name: str) -> None:
    assert api.add(name)["name"] == name


@pytest.mark.parametrize(
    "name",
    ["a\u3000", "\u00a0a", "a\u202eb", "a\u2028b", "a\u0085b", "a\x7fb", "a\u200bb", "\ue000"],
)
def test_a_name_that_deceives_is_refused(api: Api, name: str) -> None:
    problem = refusal(api.client.post(ASSETS, json=GOOD | {"name": name}), 422, "invalid")
    assert [error["pointer"] for error in problem["errors"]] == ["/name"]


def test_an_unknown_parameter_is_refused_by_every_call(api: Api) -> None:
    asset = api.add("a")
    path = f"{ASSETS}/{asset['id']}"
    answers = [
        api.client.post(f"{ASSETS}?forse=true", json=GOOD),
        api.client.get(f"{path}?forse=true"),
        api.client.put(f"{path}?forse=true", json=GOOD),
        api.patch(asset["id"], {}, "forse=true"),
        api.client.delete(f"{path}?forse=true"),
        api.client.get(f"{path}/dependents?forse=true"),
        api.client.delete(f"{ASSETS}/by-ref/a/b/c?forse=true"),
    ]
    for answer in answers:
        problem = refusal(answer, 422, "invalid")
        assert problem["errors"] == [{"parameter": "forse", "detail": "Unknown parameter."}]
    assert api.find() == ["a"]


def test_a_request_id_is_taken_over_if_it_is_harmless(api: Api) -> None:
    given_id = api.client.get("/nothing", headers={"X-Request-ID": "trace-1.a_B"})
    assert refusal(given_id, 404)["request_id"] == "trace-1.a_B"
    for odd in ("a b", "x" * 129, "ä", "<script>"):
        own = refusal(api.client.get("/nothing", headers={"X-Request-ID": odd}), 404)
        assert own["request_id"] != odd


def test_a_defect_shows_nothing_of_the_inside_and_is_logged(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("inner workings")

    monkeypatch.setattr(listing, "find", broken)
    response = api.client.get(ASSETS)
    problem = refusal(response, 500, "defect")
    assert "inner" not in response.text
    assert "Traceback" not in response.text
    record = next(record for record in caplog.records if record.exc_info)
    assert record.__dict__["request_id"] == problem["request_id"]


def test_a_name_of_another_site_does_not_reach_a_registry_without_login(api: Api) -> None:
    refusal(api.client.get(ASSETS, headers={"Host": "rebound.example:8090"}), 421, "misdirected")
    for host in ("localhost:8090", "127.0.0.1", "[::1]:8090"):
        assert api.client.get(ASSETS, headers={"Host": host}).status_code == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        *CreateSchema().fields,
        *("secretRef", "dependsOn", "id", "managedBy", "externalRef", "version", "nonsense"),
    ]
)


@ON_SQLITE
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.dictionaries(FIELDS, JSON, max_size=6) | JSON, keep=st.booleans())
def test_no_json_whatever_makes_the_server_fail(api: Api, body: Any, keep: bool) -> None:
    if keep and isinstance(body, dict):
        body = {**body, **GOOD}
    asset = api.add("target")
    text = json.dumps(body)
    answers = [
        post(api, text),
        api.client.put(f"{ASSETS}/{asset['id']}", data=text, content_type="application/json"),
        api.patch(asset["id"], body),
        api.client.put(f"{ASSETS}/by-ref/a/b/c", data=text, content_type="application/json"),
    ]
    for answer in answers:
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.content_type == "application/problem+json"


@ON_SQLITE
def test_two_hundred_thousand_values_are_refused_in_little_time_and_space(api: Api) -> None:
    for values in (["a"] * 200_000, ["A"] * 200_000):
        begun = time.process_time()
        response = api.client.post(ASSETS, json={"name": "a", "type": "Other", "tags": values})
        assert time.process_time() - begun < 10
        problem = refusal(response, 422, "invalid")
        assert len(problem["errors"]) <= 100
        assert len(response.data) < 100_000
