"""`tradingbot orders`: files, pods of a cluster, and everything that can be wrong with either."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from tradingbot_cli.main import main
from tradingbot_cli.orders.command import _since
from tradingbot_cli.orders.entries import parse

TOKEN = "a-token-that-nobody-must-see"
BOTS = "/api/v1/namespaces/trading/pods"


def line(minute: int, verdict: str = "allowed", **more: Any) -> str:
    fields = {
        "time": f"2026-11-30T12:{minute:02}:00.000Z",
        "bot": "trading/arb",
        "clientId": "c1",
        "symbol": "BTC-USDT",
        "side": "BUY",
        "type": "LIMIT",
        "size": "0.01",
        "price": "60000",
        "verdict": verdict,
    }
    return json.dumps(fields | more) + "\n"


LOG_LINE = '{"time": "2026-11-30T12:00:00Z", "level": "info", "message": "listens"}\n'


def rows(text: str) -> list[str]:
    return [" ".join(row.split()) for row in text.splitlines()[1:]]


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["orders", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of the error."""
    assert main(["orders", *arguments]) in {1, 2}
    out, err = capsys.readouterr()
    assert TOKEN not in out + err
    assert len(err.splitlines()) == 1 or err.startswith("usage:"), err
    return err.splitlines()[-1]


# ---- files


def test_lines_of_several_files_are_shown_by_time_and_log_lines_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = tmp_path / "a", tmp_path / "b"
    first.write_text(LOG_LINE + line(1) + "not json\n" + line(5, clientId="late") + "{broken\n")
    other.write_text(line(3, bot="trading/dca", side="SELL", kind="exit"))

    assert rows(shown(capsys, "-f", str(first), "-f", str(other))) == [
        "2026-11-30T12:01:00Z trading/arb order BUY BTC-USDT 0.01 60000 LIMIT c1",
        "2026-11-30T12:03:00Z trading/dca order SELL BTC-USDT 0.01 60000 LIMIT c1: exit",
        "2026-11-30T12:05:00Z trading/arb order BUY BTC-USDT 0.01 60000 LIMIT late",
    ]


def test_each_kind_has_its_words_and_can_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "copy"
    refused = {"control": "PriceCollar", "reason": "PriceCollar: too far", "size": None}
    trade = {"fee": "0.6", "feeAsset": "USDT", "tradeId": "7", "type": None}
    file.write_text(
        line(1, "refused", quoteSize="600", **refused)
        + line(2, "filled", **trade)
        + line(3, "filled", **trade)
        + line(4, "own", action="protection", reason="the stop", price=None, stopPrice="59000")
        + line(5, "released", cancels=["s1", "s2"])
    )

    assert [row.partition("arb ")[2] for row in rows(shown(capsys, "-f", str(file)))] == [
        "refused BUY BTC-USDT 600 (money) 60000 LIMIT c1: PriceCollar: too far",
        "fill BUY BTC-USDT 0.01 60000 c1: fee 0.6 USDT",
        "protection BUY BTC-USDT 0.01 59000 LIMIT c1: the stop",
        "released BUY BTC-USDT 0.01 60000 LIMIT c1: for the bot: s1, s2",
    ]
    for only, count in (("refusals", 1), ("fills", 1), ("own", 2), ("orders", 0)):
        assert len(rows(shown(capsys, "-f", str(file), "--only", only))) == count
    asked = shown(capsys, "-f", str(file), "--only", "fills", "--only", "refusals", "-o", "json")
    assert [json.loads(text)["verdict"] for text in asked.splitlines()] == ["refused", "filled"]


def test_a_bot_can_not_forge_a_row_or_control_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "copy"
    file.write_text(line(1, clientId="a\n2026 forged \x1b[2J", symbol="B" * 10_000))

    (row,) = rows(shown(capsys, "-f", str(file)))

    assert "\\x1b" in row
    assert len(row) < 600


def test_standard_input_is_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line(1).encode())))

    assert len(rows(shown(capsys, "-f", "-"))) == 1


@pytest.mark.parametrize(
    ("since", "count"),
    [("2026-11-30T12:03:00Z", 2), ("2026-11-30T13:05:00+01:00", 1), ("1s", 0), ("9999d", 3)],
)
def test_only_what_is_not_older_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], since: str, count: int
) -> None:
    file = tmp_path / "copy"
    file.write_text(line(1) + line(3) + line(5))

    assert len(rows(shown(capsys, "-f", str(file), "--since", since))) == count


def test_a_duration_is_counted_back_from_now() -> None:
    now = datetime(2026, 12, 1, tzinfo=UTC)
    assert _since("1d2h3m4s")(now) == now - timedelta(days=1, hours=2, minutes=3, seconds=4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {file}: No such file or directory"),
        ("hello\n", "{file} is not a drop copy: none of its lines is a decision of a gateway"),
        (LOG_LINE, "{file} is not a drop copy"),
    ],
)
def test_a_file_that_is_none_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    file = tmp_path / "copy"
    if content is not None:
        file.write_text(content)

    assert message.format(file=file) in failed(capsys, "-f", str(file))


def test_an_empty_file_is_a_gateway_that_has_decided_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "copy"
    file.write_text("")

    assert rows(shown(capsys, "-f", str(file))) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a bot, or files with -f"),
        (("Arb",), "'Arb' is not the name of a bot"),
        (("-f", "x", "--follow"), "-f reads files"),
        (("-f", "x", "-n", "y"), "-f reads files"),
        (("arb", "--since", "soon"), "'soon' is neither a duration such as 15m nor a time"),
        (("arb", "--since", "2026-11-30T12:00:00"), "is neither a duration"),
        (("arb", "--kubeconfig", "none"), "there is no kubeconfig at none: give --kubeconfig"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert message in failed(capsys, *arguments)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"verdict": []}', '{"verdict": "allowed"}', "[" * 100_000]
    + [f'{{"verdict": "allowed", "time": {time}}}' for time in ('"x"', "1", '"2026-11-30"')],
)
def test_what_is_no_entry_is_none(text: str) -> None:
    assert parse(text.encode()) is None


# ---- a cluster

Answers = dict[str, tuple[int, Any]]


class ApiServer(BaseHTTPRequestHandler):
    """Answers each path from a table, and remembers what it was asked."""

    answers: Answers
    asked: list[tuple[str, dict[str, list[str]]]]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.asked.append((parts.path, parse_qs(parts.query)))
        status, body = self.answers.get(parts.path, (404, {"message": "none"}))
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        kind = "text/plain" if isinstance(body, str) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


Serve = Callable[[Answers], tuple[str, ...]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[ThreadingHTTPServer] = []

    def begin(answers: Answers) -> tuple[str, ...]:
        ApiServer.answers, ApiServer.asked = answers, []
        server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        context = {"cluster": "c", "user": "u", "namespace": "trading"}
        file = tmp_path / "kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [
                {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
            ],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
            "contexts": [{"name": "here", "context": context}],
        }
        file.write_text(yaml.safe_dump(content))
        return ("--kubeconfig", str(file))

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def pod(name: str, minute: int, *, gateway: bool = True) -> dict[str, Any]:
    bot = {"name": "bot", "image": "b"}
    sidecar = {"name": "gateway", "image": "g", "restartPolicy": "Always"}
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-11-30T11:{minute:02}:00Z"},
        "spec": {"containers": [bot], "initContainers": [sidecar] if gateway else []},
    }


def pods(*found: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"kind": "PodList", "apiVersion": "v1", "items": list(found)}


def test_the_logs_of_a_bots_pods_are_read_the_oldest_first(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    access = serve(
        {
            BOTS: pods(pod("arb-new", 30), pod("arb-old", 10)),
            f"{BOTS}/arb-old/log": (200, line(1) + LOG_LINE),
            f"{BOTS}/arb-new/log": (200, line(2, "refused", control="X", reason="y")),
        }
    )

    events = [row.split()[2] for row in rows(shown(capsys, "arb", *access, "--follow"))]

    assert events == ["order", "refused"]
    (_, query), (_, old), (_, new) = ApiServer.asked
    assert query == {"labelSelector": ["trading.io/bot=arb"]}
    assert old["container"] == new["container"] == ["gateway"]
    assert (old["follow"], new["follow"]) == (["false"], ["true"])


def test_a_beginning_is_asked_for_at_the_api_server(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    access = serve({BOTS: pods(pod("arb-1", 1)), f"{BOTS}/arb-1/log": (200, line(1))})

    assert rows(shown(capsys, "arb", *access, "--since", "90s")) == []

    assert ApiServer.asked[-1][1]["sinceSeconds"] in (["90"], ["91"])


@pytest.mark.parametrize(
    ("answers", "arguments", "message"),
    [
        ({BOTS: pods()}, (), "no pod of bot 'arb' in namespace 'trading'"),
        ({"/api/v1/namespaces/x/pods": pods()}, ("-n", "x"), "in namespace 'x'"),
        ({BOTS: pods(pod("arb-1", 1, gateway=False))}, (), "bot 'arb' has no gateway"),
        ({BOTS: (403, {"message": "no"})}, (), "permission denied: you may not list pods"),
        ({BOTS: (401, {})}, (), "does not accept these credentials (401): log in again"),
        ({BOTS: (500, {"message": "broken"})}, (), "can't list pods"),
        ({BOTS: pods(pod("arb-1", 1))}, (), "can't read the log of pod arb-1"),
        (
            {
                BOTS: pods(pod("arb-1", 1)),
                f"{BOTS}/arb-1/log": (400, {"message": "container is waiting to start"}),
            },
            (),
            "container is waiting to start",
        ),
        ({}, ("--context", "elsewhere"), "elsewhere"),
    ],
)
def test_a_cluster_that_has_no_log_is_an_error(
    serve: Serve,
    capsys: pytest.CaptureFixture[str],
    answers: Answers,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert message in failed(capsys, "arb", *serve(answers), *arguments)


def test_an_api_server_that_does_not_answer_is_an_error(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    access = serve({})
    file = Path(access[1])
    file.write_text(file.read_text().replace("127.0.0.1:", "127.0.0.1:1#"))

    assert "the API server does not answer" in failed(capsys, "arb", *access)
