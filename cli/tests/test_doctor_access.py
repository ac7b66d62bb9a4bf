"""Every way in which the doctor can't even look: one line on stderr, exit code 2, no traceback."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from tradingbot_cli.main import main

TOKEN = "a-token-that-nobody-must-see"


def kubeconfig(server: str, **cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }


def doctor(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, content: Any, *more: str
) -> tuple[int, str]:
    """The exit code and stderr, which must be one line and hold no credential."""
    file = tmp_path / "kubeconfig"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    code = main(["doctor", "--kubeconfig", str(file), *more])
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("tradingbot: error: ")
    assert err.count("\n") == 1, err
    assert TOKEN not in err
    return code, err


def without(key: str) -> dict[str, Any]:
    content = kubeconfig("https://127.0.0.1:1")
    del content[key]
    return content


def with_user(user: Any) -> dict[str, Any]:
    return kubeconfig("https://127.0.0.1:1") | {"users": [{"name": "u", "user": user}]}


BAD_PLUGIN = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "false",
    "interactiveMode": "Never",
}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"users: [{{token: {TOKEN}\n  broken", "is not valid YAML (line 2)"),
        (b"\xff\xfe\x00", "is not valid YAML"),
        ("", "is not complete"),
        ("- a\n- list\n", "does not have the structure of a kubeconfig"),
        ("clusters: 5\n", "does not have the structure of a kubeconfig"),
        (f"users: {{name: u, user: {TOKEN}}}\n", "kubeconfig"),
        (without("contexts"), "kubeconfig"),
        (without("current-context"), "it has no current-context: run kubectl config use-context"),
        (without("users"), "does not answer"),  # to have no user is allowed
        (with_user({"client-certificate-data": TOKEN, "client-key-data": TOKEN}), "kubeconfig"),
        (with_user({"client-certificate": "/nowhere", "client-key": "/nowhere"}), "does not exist"),
        (with_user({"exec": BAD_PLUGIN}), "the credential plugin failed"),
    ],
)
def test_a_kubeconfig_that_is_broken(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, content: Any, said: str
) -> None:
    code, err = doctor(capfd, tmp_path, content)
    assert code == 2
    assert said in err


def test_a_context_that_is_not_in_it(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    content = kubeconfig("https://127.0.0.1:1")
    code, err = doctor(capfd, tmp_path, content, "--context", "elsewhere")
    assert code == 2
    assert "there is no elsewhere in its contexts" in err


def test_no_kubeconfig_at_all(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["doctor"]) == 2
    assert "give --kubeconfig, or set KUBECONFIG" in capfd.readouterr().err


def test_nobody_answers(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        server = f"https://127.0.0.1:{closed.getsockname()[1]}"
        code, err = doctor(capfd, tmp_path, kubeconfig(server))
    assert code == 2
    assert f"{server} does not answer" in err
    assert err.endswith("Connection refused\n")


class _Answers(BaseHTTPRequestHandler):
    """Says the same to everybody."""

    status = 401
    body: Any = {}  # noqa: RUF012 - replaced, never changed

    def do_GET(self) -> None:
        content = json.dumps(self.body).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Nothing to stderr."""


@pytest.fixture
def somebody(request: pytest.FixtureRequest) -> Iterator[str]:
    status, body = request.param
    handler = type("Answers", (_Answers,), {"status": status, "body": body})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("somebody", [(401, {})], indirect=True)
def test_credentials_that_have_expired(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, somebody: str
) -> None:
    code, err = doctor(capfd, tmp_path, kubeconfig(somebody))
    assert code == 2
    assert "does not accept these credentials (401): log in again" in err


@pytest.mark.parametrize("somebody", [(200, {"hello": "world"})], indirect=True)
def test_somebody_who_is_no_api_server(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, somebody: str
) -> None:
    code, err = doctor(capfd, tmp_path, kubeconfig(somebody))
    assert code == 2
    assert "is not a Kubernetes API server" in err


@pytest.mark.parametrize("somebody", [(403, {"message": "forbidden"})], indirect=True)
def test_one_who_may_see_nothing_gets_unknown_and_no_verdict(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, somebody: str
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(kubeconfig(somebody)))
    assert main(["doctor", "--kubeconfig", str(file), "-o", "json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["summary"]["failed"] == 0
    assert [finding["check"] for finding in document["findings"] if finding["status"] == "ok"] == [
        "api-server"
    ]


@pytest.mark.parametrize("namespace", ["", "../kube-system", "A", "a" * 64])
def test_a_namespace_that_can_not_be_one(
    capsys: pytest.CaptureFixture[str], namespace: str
) -> None:
    assert main(["doctor", f"--namespace={namespace}"]) == 2
    assert "is not a valid namespace name" in capsys.readouterr().err


def test_certificate_data_is_never_shown(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A user with fields in the wrong place: the library's message would quote all of it."""
    content = kubeconfig("https://127.0.0.1:1")
    content["users"] = [{"name": "u", "token": TOKEN, "key": base64.b64encode(b"k").decode()}]
    code, _ = doctor(capfd, tmp_path, content)
    assert code == 2
