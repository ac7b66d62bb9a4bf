"""Who may call in a cluster: a stub stands for the API server, over real HTTP."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask.testing import FlaskClient
from kubernetes import client
from openapi_spec_validator import validate
from registry_harness import ASSETS, Api, refusal
from tradingbot_registry.app import BLUEPRINTS, create_app
from tradingbot_registry.auth.gate import FORWARDED_AUTHORIZATION
from tradingbot_registry.auth.kubernetes import (
    AUDIENCE,
    REFUSALS_REMEMBERED_SECONDS,
    REMEMBERED_SECONDS,
    KubernetesGate,
)
from tradingbot_registry.storage.engine import Database

READER, WRITER = "reader-token", "writer-token"
CLUSTER_TOKEN = "token-for-the-api-server"
IGNORED = "token-of-a-webhook-that-ignores-audiences"
USERS = {READER: "system:serviceaccount:a:reader", WRITER: "system:serviceaccount:a:writer"}
USERS |= {CLUSTER_TOKEN: USERS[READER], IGNORED: USERS[READER]}
API_SERVER = "https://kubernetes.default.svc"


@dataclass
class Cluster:
    """Answers reviews as an API server does, and remembers what it was asked."""

    server: ThreadingHTTPServer
    asked: list[dict[str, Any]] = field(default_factory=list)
    allowed: dict[str, set[str]] = field(default_factory=dict)
    failing: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def review(self, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        spec = body["spec"]
        if body["kind"] == "TokenReview":
            name = USERS.get(spec["token"])
            if name is None:
                return {"authenticated": False}
            asked = spec.get("audiences") or [API_SERVER]
            audience = API_SERVER if spec["token"] == CLUSTER_TOKEN else AUDIENCE
            if spec["token"] != IGNORED and audience not in asked:
                return {"authenticated": False, "error": f"not for {asked}"}
            user = {"username": name, "groups": ["g"], "extra": {"k": ["v"]}, "uid": "7"}
            named = {} if spec["token"] == IGNORED else {"audiences": [audience]}
            return {"authenticated": True, "user": user, **named}
        verb = spec["resourceAttributes"]["verb"]
        return {"allowed": verb in self.allowed.get(spec["user"], set())}


@pytest.fixture
def database(sqlite_file: Database) -> Database:
    """One kind is enough: nothing here depends on it."""
    return sqlite_file


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body.setdefault("kind", "TokenReview" if "tokenreviews" in self.path else "Access")
            answer = json.dumps(body | {"status": stub.review(body)}).encode()
            self.send_response(500 if stub.failing else 201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub = Cluster(server)
    stub.allowed[USERS[READER]] = {"get", "list"}
    stub.allowed[USERS[WRITER]] = {"get", "list", "create", "update", "patch", "delete"}
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield stub
    server.shutdown()
    server.server_close()


@dataclass
class Seconds:
    """A clock that a test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def guarded(cluster: Cluster, database: Database, clock: Seconds) -> FlaskClient:
    api = client.ApiClient(client.Configuration(host=cluster.url))
    return create_app(database, gate=KubernetesGate(api, clock=clock)).test_client()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_without_a_good_token_nobody_gets_in(guarded: FlaskClient) -> None:
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}, bearer("x")):
        response = guarded.get(ASSETS, headers=headers)
        refusal(response, 401, "unauthenticated")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_may_be_in_a_header_that_the_api_servers_proxy_keeps(guarded: FlaskClient) -> None:
    forwarded = {FORWARDED_AUTHORIZATION: f"Bearer {READER}"}
    assert guarded.get(ASSETS, headers=forwarded).status_code == 200
    refusal(guarded.get(ASSETS, headers=forwarded | bearer("x")), 401, "unauthenticated")
    forwarded[FORWARDED_AUTHORIZATION] = "Bearer x"
    assert guarded.get(ASSETS, headers=forwarded | bearer(READER)).status_code == 200
    refusal(guarded.get(ASSETS, headers=forwarded), 401, "unauthenticated")


@pytest.mark.parametrize("token", [CLUSTER_TOKEN, IGNORED])
def test_a_token_that_is_not_for_the_registry_is_refused(
    guarded: FlaskClient, cluster: Cluster, token: str
) -> None:
    problem = refusal(guarded.get(ASSETS, headers=bearer(token)), 401, "unauthenticated")
    assert "kubectl create token NAME --audience=tradingbot-registry" in problem["detail"]
    assert token not in str(problem)
    assert cluster.asked[0]["spec"]["audiences"] == [AUDIENCE]


def test_tokens_for_the_api_server_are_accepted_only_where_somebody_has_said_so(
    cluster: Cluster, database: Database, clock: Seconds
) -> None:
    api = client.ApiClient(client.Configuration(host=cluster.url))
    gate = KubernetesGate(api, clock=clock, accept_cluster_tokens=True)
    lenient = create_app(database, gate=gate).test_client()
    for token in (CLUSTER_TOKEN, READER):
        assert lenient.get(ASSETS, headers=bearer(token)).status_code == 200
    refusal(lenient.get(ASSETS, headers=bearer("x")), 401, "unauthenticated")


def test_each_call_needs_its_verb(guarded: FlaskClient, cluster: Cluster) -> None:
    body = {"name": "a", "type": "Other"}
    asset = guarded.post(ASSETS, json=body, headers=bearer(WRITER)).json
    path, ref = f"{ASSETS}/{asset['id']}", f"{ASSETS}/by-ref/a/b/c"
    needs = [
        ("GET", ASSETS, {"list"}),
        ("POST", ASSETS, {"create"}),
        ("GET", path, {"get"}),
        ("HEAD", path, {"get"}),
        ("PUT", path, {"update"}),
        ("PATCH", path, {"patch"}),
        ("DELETE", path, {"delete"}),
        ("GET", f"{path}/dependents", {"list"}),
        ("GET", f"{path}/dependencies", {"list"}),
        ("GET", f"{path}/changes", {"get"}),
        ("POST", f"{ASSETS}:batch", {"create", "patch", "delete"}),
        ("GET", "/api/v1/changes", {"list"}),
        ("GET", "/api/v1/graph", {"list"}),
        ("GET", "/api/v1/facets", {"list"}),
        ("GET", "/api/v1/reports", {"list"}),
        ("POST", "/api/v1/reports", {"update"}),
        ("GET", ref, {"get"}),
        ("PUT", ref, {"create", "update"}),
        ("DELETE", ref, {"delete"}),
    ]
    places = guarded.application.url_map.bind("localhost")
    tried = {(method, places.match(target, method)[0]) for method, target, _ in needs}
    assert tried == {
        (method, rule.endpoint)
        for rule in guarded.application.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] in {group.name for group in BLUEPRINTS}
        for method in (rule.methods or set()) - {"OPTIONS"}
        if method != "HEAD" or rule.endpoint == "assets.OneAsset"
    }
    for number, (method, target, verbs) in enumerate(needs):
        for missing in verbs:
            token = f"{number}{missing}"
            USERS[token] = f"user-{token}"
            cluster.allowed[USERS[token]] = cluster.allowed[USERS[WRITER]] - {missing}
            response = guarded.open(target, method=method, headers=bearer(token))
            if method == "HEAD":
                assert response.status_code == 403
            else:
                problem = refusal(response, 403, "forbidden")
                assert f"may not {missing} assets.registry.trading.io" in problem["detail"]
        allowed = guarded.open(target, method=method, headers=bearer(WRITER), json=body)
        assert allowed.status_code not in {401, 403}


def test_a_key_of_one_caller_shows_another_nothing(guarded: FlaskClient, cluster: Cluster) -> None:
    USERS["other"] = "other"
    cluster.allowed["other"] = {"create"}
    body = {"name": "a", "type": "Other"}
    first, again, other = (
        guarded.post(ASSETS, json=body, headers=bearer(token) | {"Idempotency-Key": "k"})
        for token in (WRITER, WRITER, "other")
    )
    assert (again.data, again.headers["Idempotent-Replayed"]) == (first.data, "true")
    assert other.status_code == 201
    assert other.json["id"] != first.json["id"]
    refused = guarded.post(ASSETS, json=body, headers=bearer(READER) | {"Idempotency-Key": "k"})
    refusal(refused, 403, "forbidden")


def test_the_cluster_is_asked_about_the_very_caller(guarded: FlaskClient, cluster: Cluster) -> None:
    assert guarded.get(ASSETS, headers=bearer(READER)).status_code == 200
    access = cluster.asked[-1]["spec"]
    assert access["user"] == USERS[READER]
    assert access["groups"] == ["g"]
    assert access["extra"] == {"k": ["v"]}
    assert access["uid"] == "7"
    assert access["resourceAttributes"] == {
        "group": "registry.trading.io",
        "resource": "assets",
        "verb": "list",
    }


def test_answers_are_kept_briefly(guarded: FlaskClient, cluster: Cluster, clock: Seconds) -> None:
    for _ in range(3):
        assert guarded.get(ASSETS, headers=bearer(READER)).status_code == 200
    assert len(cluster.asked) == 2
    cluster.allowed[USERS[READER]] = set()
    clock.now += REMEMBERED_SECONDS - 0.1
    assert guarded.get(ASSETS, headers=bearer(READER)).status_code == 200
    clock.now += 0.2
    assert guarded.get(ASSETS, headers=bearer(READER)).status_code == 403
    cluster.allowed[USERS[READER]] = {"list"}
    assert guarded.get(ASSETS, headers=bearer(READER)).status_code == 403
    clock.now += REFUSALS_REMEMBERED_SECONDS
    assert guarded.get(ASSETS, headers=bearer(READER)).status_code == 200


def test_a_cluster_that_does_not_answer_is_a_problem_of_now_and_not_of_the_caller(
    guarded: FlaskClient, cluster: Cluster
) -> None:
    cluster.failing = True
    response = guarded.get(ASSETS, headers=bearer(READER))
    assert "system:auth-delegator" in refusal(response, 503, "unavailable")["detail"]
    cluster.server.shutdown()
    cluster.server.server_close()
    response = guarded.get(ASSETS, headers=bearer(READER))
    refusal(response, 503, "unavailable")
    assert response.headers["Retry-After"]
    assert READER not in response.text


def test_health_and_documentation_need_no_login(guarded: FlaskClient) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/docs", "/api/v1/openapi.json"):
        assert guarded.get(path).status_code == 200, path
    refusal(guarded.get("/nothing"), 404)


def test_the_document_says_that_a_token_is_needed(guarded: FlaskClient, api: Api) -> None:
    document = guarded.get("/api/v1/openapi.json").json
    validate(document)
    assert document["security"] == [{"bearer": []}]
    assert "security" not in api.client.get("/api/v1/openapi.json").json


def test_any_host_name_is_served_where_callers_log_in(guarded: FlaskClient) -> None:
    headers = bearer(READER) | {"Host": "tradingbot-registry.tradingbot-system.svc:8090"}
    assert guarded.get(ASSETS, headers=headers).status_code == 200
