"""Bots that can be told what to report: the simulated node's pods run, but nothing runs in them.

with SimulatedBots(config_hash=lambda namespace, name: ...) as bots:
    ...  # an operator with TRADINGBOT_RISK_URL=bots.risk_url
    bots.set("desk", "arb", day_pnl="-250", open_positions=1)
    bots.silence("desk", "arb")
"""

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tradingbot_api.contract import RiskReport

Key = tuple[str, str]
"""Namespace and name."""

_ALIASES = {name: info.alias or name for name, info in RiskReport.model_fields.items()}
_FLAT = {"dayPnL": "0", "openPositions": 0, "exposure": "0"}


@dataclass(frozen=True)
class _Answer:
    """What a bot says: a report that is filled in when it is asked for, or a fixed answer."""

    fields: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    body: bytes | None = None
    hangs: bool = False


_NOT_THERE = _Answer(status=404, body=b"")


class SimulatedBots:
    """An HTTP server on a free port of the loopback interface that answers for any bot.

    A bot of which nothing was said is not there: 404. `config_hash` gives the hash that a bot
    reports unless it is told another, `clock` the time and, in UTC, the trading day.
    """

    def __init__(
        self,
        *,
        config_hash: Callable[[str, str], str] = lambda _namespace, _name: "unset",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config_hash = config_hash
        self._clock = clock
        self._answers: dict[Key, _Answer] = {}
        self._polls: Counter[Key] = Counter()
        self._lock = threading.Lock()
        self._told = threading.Condition(self._lock)
        self._closed = False
        self._server = _Server(("127.0.0.1", 0), _handler(self))

    @property
    def risk_url(self) -> str:
        """The operator's setting of that name."""
        return f"http://127.0.0.1:{self._server.server_port}/{{namespace}}/{{name}}/risk"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._told:
            self._closed = True
            self._told.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def set(self, namespace: str, name: str, **fields: Any) -> None:
        """The bot reports `fields` (`day_pnl="-12.5"`), and is flat in what is not given.

        Values go out as they are, so that a test can send wrong ones.
        """
        wire = {_ALIASES[key]: value for key, value in fields.items()}
        self._say((namespace, name), _Answer(wire))

    def silence(self, namespace: str, name: str, *, status: int = 503) -> None:
        """The bot answers with an error."""
        self._say((namespace, name), _Answer(status=status, body=b""))

    def say(self, namespace: str, name: str, body: bytes, *, status: int = 200) -> None:
        """The bot answers with `body`, whatever that is."""
        self._say((namespace, name), _Answer(status=status, body=body))

    def hang(self, namespace: str, name: str) -> None:
        """The bot takes connections and answers nothing, until it is told something else."""
        self._say((namespace, name), _Answer(status=503, body=b"", hangs=True))

    def polls(self, namespace: str, name: str) -> int:
        """How many times the bot has been asked."""
        with self._lock:
            return self._polls[namespace, name]

    def _say(self, key: Key, answer: _Answer) -> None:
        with self._told:
            self._answers[key] = answer
            self._told.notify_all()

    def answer(self, key: Key) -> tuple[int, bytes]:
        """Status and body for a poll; it blocks while the bot hangs."""
        with self._told:
            self._polls[key] += 1
            self._told.wait_for(lambda: self._closed or not self._answer_of(key).hangs)
            answer = self._answer_of(key)
        if answer.body is not None:
            return answer.status, answer.body
        now = self._clock()
        defaults = {
            "tradingDay": now.astimezone(UTC).date().isoformat(),
            "configHash": self._config_hash(*key),
            "time": now.isoformat(),
        }
        return answer.status, json.dumps({**_FLAT, **defaults, **answer.fields}).encode()

    def _answer_of(self, key: Key) -> _Answer:
        return self._answers.get(key, _NOT_THERE)


class _Server(ThreadingHTTPServer):
    """A thread for each connection; none holds up the end of the process."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A poller that hangs up in the middle of an answer is no news."""


def _handler(bots: SimulatedBots) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            match self.path.split("/"):
                case ["", namespace, name, "risk"]:
                    status, body = bots.answer((namespace, name))
                case _:
                    status, body = 404, b""
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Say nothing: a poll every few seconds is no news."""

    return Handler
