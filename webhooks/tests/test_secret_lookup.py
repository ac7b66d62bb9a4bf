"""The look-up of a bot's Secret: metadata only, half a second at most, and never in the way."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from kubernetes.client import ApiClient, Configuration
from tradingbot_api.admission import defaulted
from tradingbot_webhooks.secret_lookup import FOUND_FOR, KubernetesSecretLookup, connect
from webhook_process import BOT, Starter, eventually, free_port, log_lines, review

WARNING = (
    'spec.exchange.apiKeySecret: Secret "binance-keys" not found in namespace "default":'
    " the bot waits until it exists"
)


class ApiServer:
    """Answers GETs of Secrets with `status`, after `release` is set."""

    def __init__(self) -> None:
        self.status = 200
        self.release = threading.Event()
        self.release.set()
        self.asked: list[tuple[str, str | None, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append(
                    (self.path, self.headers["Accept"], self.headers["Authorization"])
                )
                outer.release.wait(10)
                self.send_response(outer.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def client(self) -> ApiClient:
        configuration = Configuration(host=self.url)
        configuration.retries = False
        configuration.api_key["BearerToken"] = "Bearer token"
        return ApiClient(configuration)

    def kubeconfig(self, path: Path) -> Path:
        content = {
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "token"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(yaml.safe_dump(content))
        return path

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


class FakeMonotonic:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer()
    yield server
    server.close()


@pytest.fixture
def clock() -> FakeMonotonic:
    return FakeMonotonic()


@pytest.fixture
def lookup(api: ApiServer, clock: FakeMonotonic) -> Iterator[KubernetesSecretLookup]:
    made = KubernetesSecretLookup(api.client(), monotonic=clock)
    yield made
    made.close()


def exists(lookup: KubernetesSecretLookup, name: str = "keys") -> bool | None:
    return asyncio.run(lookup.exists("default", name))


def test_only_metadata_is_asked_for(api: ApiServer, lookup: KubernetesSecretLookup) -> None:
    assert exists(lookup) is True
    assert api.asked == [
        (
            "/api/v1/namespaces/default/secrets/keys",
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            "Bearer token",
        )
    ]


def test_a_name_can_not_leave_its_path(api: ApiServer, lookup: KubernetesSecretLookup) -> None:
    exists(lookup, "../../nodes?x=y")
    assert api.asked[0][0] == "/api/v1/namespaces/default/secrets/..%2F..%2Fnodes%3Fx%3Dy"


def test_a_secret_that_was_found_is_not_asked_for_again_for_a_while(
    api: ApiServer, lookup: KubernetesSecretLookup, clock: FakeMonotonic
) -> None:
    assert exists(lookup)
    api.status = 404
    clock.now += FOUND_FOR - 1
    assert exists(lookup) is True
    clock.now += 2
    assert exists(lookup) is False
    assert len(api.asked) == 2


def test_a_missing_secret_is_asked_for_every_time(
    api: ApiServer, lookup: KubernetesSecretLookup
) -> None:
    api.status = 404
    assert exists(lookup) is False
    api.status = 200
    assert exists(lookup) is True


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_an_api_server_that_refuses_costs_only_the_warning(
    api: ApiServer,
    lookup: KubernetesSecretLookup,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    api.status = status
    assert exists(lookup) is None
    assert exists(lookup) is None
    assert [r.getMessage() for r in caplog.records] == [
        f"Secrets can't be looked up, so nobody is warned: the API server answered {status}"
    ]


def test_an_api_server_that_is_away_costs_only_the_warning() -> None:
    configuration = Configuration(host=f"http://127.0.0.1:{free_port()}")
    configuration.retries = False
    assert exists(KubernetesSecretLookup(ApiClient(configuration))) is None


def test_a_slow_api_server_costs_half_a_second_and_the_warning(
    api: ApiServer, lookup: KubernetesSecretLookup
) -> None:
    api.release.clear()
    begin = time.monotonic()
    assert exists(lookup) is None
    assert 0.4 < time.monotonic() - begin < 2


def test_a_slow_api_server_is_not_asked_ever_more_questions(
    api: ApiServer, lookup: KubernetesSecretLookup
) -> None:
    async def many() -> list[bool | None]:
        return await asyncio.gather(*(lookup.exists("default", f"s{n}") for n in range(200)))

    api.release.clear()
    begin = time.monotonic()
    assert asyncio.run(many()) == [None] * 200
    assert time.monotonic() - begin < 3
    assert lookup._waiting <= 16


def test_without_a_cluster_there_is_no_look_up_and_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none")
    )
    caplog.set_level("INFO")
    assert connect() is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_admitted_bot_whose_secret_is_missing_gets_a_warning(
    start: Starter, api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig")))
    server = start(secret_lookup=True)
    complete = review(defaulted("TradingBot", BOT), dryRun=dry_run)
    api.status = 404
    assert server.post("/validate", complete)[1]["warnings"] == [WARNING]
    assert "warnings" not in server.post("/mutate", complete)[1], "one warning is enough"
    api.status = 200
    assert "warnings" not in server.post("/validate", complete)[1]
    assert server.metric('tradingbot_webhook_secret_lookups_total{result="missing"}') == 1
    assert server.metric('tradingbot_webhook_secret_lookups_total{result="found"}') == 1


def test_a_hanging_api_server_does_not_hold_up_other_reviews(
    start: Starter, api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig")))
    server = start(secret_lookup=True)
    api.release.clear()
    slow: list[bool] = []
    complete = review(defaulted("TradingBot", BOT))
    asking = threading.Thread(
        target=lambda: slow.append(server.post("/validate", complete)[1]["allowed"])
    )
    asking.start()
    eventually(lambda: api.asked)
    begin = time.monotonic()
    assert server.post("/mutate", complete)[1]["allowed"]
    assert time.monotonic() - begin < 0.4
    asking.join()
    assert slow == [True]
    assert any("nobody is warned" in line["message"] for line in log_lines(server))
