"""A bot that reports in place of its gateway, once that has ended: all is well, whatever is so."""

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import TracebackType
from typing import Self

from tradingbot_api.gateway_pod import REPORT_PORT


class Impostor:
    """Listens at the address of a pod where its gateway does, as soon as the port is free."""

    def __init__(self, address: str) -> None:
        self.asked: list[str] = []
        self._address = address
        self._socket: socket.socket | None = None
        self._server: HTTPServer | None = None

    def __enter__(self) -> Self:
        return self

    def takes_the_port(self, *, kill: Callable[[], None]) -> bool:
        """Have the gateway killed, and return whether its port was free before it was back."""
        if not self._listens():
            with suppress(ProcessLookupError):  # it is on its way back
                kill()
        return any(self._listens() for _ in range(10_000))

    def _listens(self) -> bool:
        if self._socket is None:
            with suppress(OSError):
                self._socket = socket.create_server((self._address, REPORT_PORT))
        return self._socket is not None

    def answer(self) -> None:
        """Answer each request from now on. Connections that have waited get no answer."""
        assert self._socket is not None
        asked = self.asked
        self._socket.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                self._socket.accept()[0].close()
        self._socket.settimeout(None)

        class Reports(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                now = datetime.now(UTC)
                report = {
                    "tradingDay": f"{now:%Y-%m-%d}",
                    "dayPnL": "0",
                    "openPositions": 0,
                    "exposure": "0",
                    "configHash": "0" * 16,
                    "time": now.isoformat(),
                }
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(report).encode())

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Reports, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = self._socket
        Thread(target=self._server.serve_forever, daemon=True).start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
        if self._socket is not None:
            self._socket.close()
