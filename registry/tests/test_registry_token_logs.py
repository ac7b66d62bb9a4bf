"""No token is logged or answered, whatever is wrong with a request or with the API server."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from registry_harness import ASSETS, DEADLINE_SECONDS, Server, serving

SECRET = "eyJhbGciOiJSUzI1NiJ9.s3cr3t-part"
CLOSE = "Connection: close"
MOODS = ("good", "unknown", "forbidden", "500", "echo-401", "not-json", "wrong-types", "cut")
"""How the API server answers the review of a token that ends so. The bad ones repeat the token."""


class Reviewer(BaseHTTPRequestHandler):
    """An API server that answers as the token says."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        token = body["spec"].get("token", "")
        mood = token.rpartition("~")[2]
        review = {**body, "kind": body.get("kind", "TokenReview")}
        match mood:
            case "unknown":
                self.answer(201, {**review, "status": {"authenticated": False, "error": token}})
            case "500" | "echo-401":
                self.answer(int(mood[-3:]), {"kind": "Status", "message": token})
            case "not-json":
                self.answer(201, f"<{token}>")
            case "wrong-types":
                self.answer(201, {**review, "status": {"authenticated": token, "user": [token]}})
            case "cut":
                self.close_connection = True
            case _ if "token" in body["spec"]:
                user = {"username": "good" if mood == "good" else "other", "groups": ["g"]}
                audiences = body["spec"]["audiences"]
                status = {"authenticated": True, "user": user, "audiences": audiences}
                self.answer(201, {**review, "status": status})
            case _:
                allowed = body["spec"]["user"] == "good"
                self.answer(201, {**body, "status": {"allowed": allowed}})

    def answer(self, status: int, body: Any) -> None:
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status, f"because of {body}"[:80] if status >= 400 else None)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def guarded(directory: Path, log_format: str) -> Iterator[Server]:
    reviewer = ThreadingHTTPServer(("127.0.0.1", 0), Reviewer)
    threading.Thread(target=reviewer.serve_forever, args=(0.01,), daemon=True).start()
    kubeconfig = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": f"http://127.0.0.1:{reviewer.server_port}"}}
        ],
        "users": [{"name": "u", "user": {}}],
    }
    (directory / "kubeconfig").write_text(json.dumps(kubeconfig))
    try:
        with serving(
            directory / "r.db",
            directory / "log",
            program=("-m", "tradingbot_cli", "registry"),
            TRADINGBOT_LOG_LEVEL="debug",
            TRADINGBOT_LOG_FORMAT=log_format,
            TRADINGBOT_REGISTRY_AUTH_MODE="kubernetes",
            KUBECONFIG=str(directory / "kubeconfig"),
        ) as server:
            yield server
    finally:
        reviewer.shutdown()
        reviewer.server_close()


def raw(server: Server, *lines: str) -> str:
    """What the server answers to these lines, which need not be HTTP."""
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_SECONDS) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return answer.decode("latin-1")


def good_and_bad_tokens(server: Server) -> None:
    def call(method: str, path: str, mood: str, body: Any = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_SECONDS)
        headers = {"Authorization": f"Bearer {SECRET}~{mood}", "Content-Type": "application/json"}
        connection.request(method, path, body=json.dumps(body), headers=headers)
        response = connection.getresponse()
        text = response.read().decode() + str(response.headers)
        connection.close()
        assert SECRET not in text, text
        return response.status

    found = {mood: call("GET", ASSETS, mood) for mood in MOODS}
    assert found["good"] == 200
    assert (found["unknown"], found["forbidden"]) == (401, 403)
    assert {found[mood] for mood in ("500", "echo-401", "cut", "not-json", "wrong-types")} == {503}
    # Each class of error, and the query of a client that puts its token there.
    assert call("POST", ASSETS, "good", {"name": ""}) == 422
    assert call("GET", f"{ASSETS}/nothing", "good") == 404
    assert call("TRACE", ASSETS, "good") == 405
    assert call("GET", f"{ASSETS}?access_token={SECRET}", "good") == 422
    assert call("GET", f"/nothing?access_token={SECRET}", "good") == 404


def malformed_headers(server: Server) -> None:
    for line in (
        f"Authorization: {SECRET}",
        f"Authorization: Bearer{SECRET}",
        f"Authorization: Basic {SECRET}",
        f"Authorization: Bearer\t{SECRET}",
        f"Authorization: Bearer {SECRET} and more",
        f"X-Tradingbot-Authorization: Bearer {SECRET}",
        f"X-Tradingbot-Authorization: {SECRET}",
        f"Authorization: Bearer {SECRET}\u00e9\u00ff",
        f"Authorization: Bearer {SECRET}\0",
        f"Authorization: Bearer {SECRET}\x07",
        f"Authorization: Bearer {SECRET}\r\n {SECRET}",
        f"Authorization: Bearer {SECRET}\r\nAuthorization: Bearer {SECRET}",
        f"Authorization: Bearer {SECRET * 3000}",
        f"Authorization Bearer {SECRET}",
        f" Authorization: Bearer {SECRET}",
        f"Authorization\0: Bearer {SECRET}",
        f"Authorization: Bearer {SECRET}\r\nContent-Length: {SECRET}",
        f"Authorization: Bearer {SECRET}\r\nTransfer-Encoding: {SECRET}",
        f"Authorization: Bearer {SECRET}\r\nX-Request-ID: \0{SECRET}",
    ):
        answer = raw(server, f"GET {ASSETS} HTTP/1.1", "Host: localhost", CLOSE, line)
        assert answer.startswith("HTTP/1.1 4"), (line, answer)
        assert SECRET not in answer, (line, answer)
    for request in (f"GET {ASSETS} HTTP/1.1 {SECRET}", f"GET  {SECRET}", f"{SECRET} / HTTP/1.1"):
        raw(server, request, "Host: localhost", CLOSE, f"Authorization: Bearer {SECRET}")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_token_is_logged_or_answered(tmp_path: Path, log_format: str) -> None:
    with guarded(tmp_path, log_format) as server:
        good_and_bad_tokens(server)
        malformed_headers(server)
    log = (tmp_path / "log").read_text()
    # The log is one of the lowest level, of libraries too.
    for word in ("urllib3", "tokenreviews", "can't be read", "answered 500", "403"):
        assert word in log
    assert [line[:2000] for line in log.splitlines() if "s3cr3t" in line] == []
