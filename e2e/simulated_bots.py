"""Bots that can be told what to report: the simulated node's pods run, but nothing runs in them.

with SimulatedBots(config_hash=lambda namespace, name: ...) as bots:
    ...  # an operator with TRADINGBOT_OPERATOR_RISK_URL=bots.risk_url
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
from tradingbot_api.namespaced_name import NamespacedName

_ALIASES = {name: info.alias or name for name, info in RiskReport.model_fields.items()}
_FLAT = {"dayPnL": "0", "openPositions": 0, "exposure": "0"}


@dataclass(frozen=True)
class _Answer:
    """What a bot says: a report that is filled in when it is asked for, or a fixed answer."""

    fields: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    body: bytes | None = None
    hangs: bool = False
    endless: bytes = b""


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
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self._config_hash = config_hash
        self._clock = clock
        self._answers: dict[NamespacedName, _Answer] = {}
        self._polls: Counter[NamespacedName] = Counter()
        self._lock = threading.Lock()
        self._told = threading.Condition(self._lock)
        self._closed = False
        self._server = _Server(address, _handler(self))

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

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
        self._say(NamespacedName(namespace, name), _Answer(wire))

    def silence(self, namespace: str, name: str, *, status: int = 503) -> None:
        """The bot answers with an error."""
        self._say(NamespacedName(namespace, name), _Answer(status=status, body=b""))

    def say(self, namespace: str, name: str, body: bytes, *, status: int = 200) -> None:
        """The bot answers with `body`, whatever that is."""
        self._say(NamespacedName(namespace, name), _Answer(status=status, body=body))

    def hang(self, namespace: str, name: str) -> None:
        """The bot takes connections and answers nothing, until it is told something else."""
        self._say(NamespacedName(namespace, name), _Answer(status=503, body=b"", hangs=True))

    def flood(self, namespace: str, name: str, piece: bytes, *, after: bytes = b"") -> None:
        """The bot answers with `after`, and then with `piece` for ever."""
        self._say(NamespacedName(namespace, name), _Answer(body=after, endless=piece))

    def polls(self, namespace: str, name: str) -> int:
        """How many times the bot has been asked."""
        with self._lock:
            return self._polls[NamespacedName(namespace, name)]

    def _say(self, key: NamespacedName, answer: _Answer) -> None:
        with self._told:
            self._answers[key] = answer
            self._told.notify_all()

    def flood_of(self, key: NamespacedName) -> tuple[bytes, bytes] | None:
        """What the bot floods with, first and then for ever, if it does."""
        with self._lock:
            answer = self._answer_of(key)
            if self._closed or not answer.endless:
                return None
            self._polls[key] += 1
            return answer.body or b"", answer.endless

    def answer(self, key: NamespacedName) -> tuple[int, bytes]:
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

    def _answer_of(self, key: NamespacedName) -> _Answer:
        return self._answers.get(key, _NOT_THERE)


class _Server(ThreadingHTTPServer):
    """A thread for each connection; none holds up the end of the process."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a poller that hangs up in the middle of an answer."""


def _handler(bots: SimulatedBots) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            match self.path.split("/"):
                case ["", namespace, name, "risk"]:
                    if (flood := bots.flood_of(NamespacedName(namespace, name))) is not None:
                        self._flood(*flood)
                        return
                    status, body = bots.answer(NamespacedName(namespace, name))
                case _:
                    status, body = 404, b""
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _flood(self, first: bytes, piece: bytes) -> None:
            self.close_connection = True
            self.wfile.write(first)
            while True:  # until the poller has closed the connection
                self.wfile.write(piece)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Log nothing: a poll arrives every few seconds."""

    return Handler
