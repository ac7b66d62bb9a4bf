"""What the hostile bot speaks: Binance's REST and WebSockets, well formed or not."""

import base64
import hashlib
import hmac
import json
import os
import socket
import ssl
import struct
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any

SECONDS = 10.0
REFUSED = "X-Tradingbot-Refused"
ANYBODY = ssl.create_default_context()
ANYBODY.check_hostname, ANYBODY.verify_mode = False, ssl.CERT_NONE


@dataclass(frozen=True)
class Answer:
    """What came back: no status if nothing did."""

    status: int = 0
    body: bytes = b""
    control: str = ""
    """The control of the gateway that has refused."""

    @property
    def accepted(self) -> bool:
        return self.status == 200

    @property
    def code(self) -> int | None:
        found = self.json()
        return found.get("code") if isinstance(found, dict) else None

    @property
    def word(self) -> str:
        """The outcome in one word, to be counted."""
        return self.control or f"{self.status} {'' if self.code is None else self.code}".strip()

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass
class Wire:
    """One server, and the credentials that its requests carry."""

    host: str
    port: int
    key: str
    secret: str
    secure: bool = False
    """Whether it speaks TLS, with anybody."""
    kept: HTTPConnection | None = field(default=None, repr=False)

    def other(self, host: str | None = None, port: int | None = None) -> "Wire":
        return Wire(host or self.host, port or self.port, self.key, self.secret, self.secure)

    def order(self, **changes: Any) -> Answer:
        values = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
        return self.call("POST", "/api/v3/order", **(values | changes))

    def call(self, method: str, path: str, **parameters: Any) -> Answer:
        return self.send(method, f"{path}?{self.signed(parameters)}")

    def signed(self, parameters: dict[str, Any] | list[tuple[str, Any]]) -> str:
        pairs = [*(parameters.items() if isinstance(parameters, dict) else parameters)]
        pairs = [pair for pair in pairs if pair[1] is not None]
        query = urllib.parse.urlencode([*pairs, ("timestamp", time.time_ns() // 1_000_000)])
        return f"{query}&signature={self.signature(query)}"

    def signature(self, text: str) -> str:
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def send(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request on a connection that is kept."""
        kept, self.kept = self.kept, None
        connection = kept or self._connection()
        try:
            connection.request(method, target, body, {"X-MBX-APIKEY": self.key, **headers})
            answer = connection.getresponse()
            found = Answer(answer.status, answer.read(), answer.headers.get(REFUSED, ""))
        except (OSError, HTTPException) as error:
            connection.close()
            return Answer(control=type(error).__name__)
        self.kept = connection
        return found

    def _connection(self) -> HTTPConnection:
        if self.secure:
            return HTTPSConnection(self.host, self.port, timeout=SECONDS, context=ANYBODY)
        return HTTPConnection(self.host, self.port, timeout=SECONDS)

    def raw(self, data: bytes, *, seconds: float = 3.0) -> bytes:
        """Send bytes; return the first line of the answer, or the name of the error."""
        try:
            with self.socket(seconds) as sock:
                sock.sendall(data)
                return sock.recv(65536).partition(b"\r\n")[0]
        except OSError as error:
            return type(error).__name__.encode()

    def socket(self, seconds: float = SECONDS) -> socket.socket:
        sock = socket.create_connection((self.host, self.port), seconds)
        return ANYBODY.wrap_socket(sock) if self.secure else sock

    @contextmanager
    def websocket(self, path: str = "/ws-api/v3") -> Iterator["WebSocket"]:
        with self.socket() as sock:
            yield WebSocket.begin(sock, self.host, path)


@dataclass
class WebSocket:
    """A WebSocket without manners: it sends any frame, and reads texts."""

    sock: socket.socket
    left: bytes = b""

    @classmethod
    def begin(cls, sock: socket.socket, host: str, path: str) -> "WebSocket":
        nonce = base64.b64encode(os.urandom(16)).decode()
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {nonce}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        read = b""
        while b"\r\n\r\n" not in read:
            more = sock.recv(65536)
            if not more:
                raise ConnectionError(read[:100])
            read += more
        head, _, left = read.partition(b"\r\n\r\n")
        if b" 101 " not in head:
            raise ConnectionError(head.partition(b"\r\n")[0])
        return cls(sock, left)

    def send(self, payload: bytes, *, first: int = 0x81, length: int | None = None) -> None:
        """Send a frame; `first` are its flags and opcode. It may lie about its length."""
        size = len(payload) if length is None else length
        small = size if size < 126 else 126 if size < 65536 else 127
        extended = b"" if size < 126 else struct.pack("!H" if small == 126 else "!Q", size)
        # A mask of zeros leaves the payload as it is.
        self.sock.sendall(bytes([first, 0x80 | small]) + extended + bytes(4) + payload)

    def ask(self, method: str, parameters: dict[str, Any]) -> Answer:
        self.send(json.dumps({"id": 1, "method": method, "params": parameters}).encode())
        return self.answer()

    def answer(self) -> Answer:
        """Return the next answer as REST would have it; events are passed over."""
        while True:
            found = json.loads(self.receive())
            if "status" in found:
                body = found.get("result", found.get("error"))
                return Answer(int(found["status"]), json.dumps(body).encode())

    def receive(self) -> bytes:
        """Return the next text. Raises OSError at the end."""
        while True:
            first, size = self._read(2)
            if size == 126:
                (size,) = struct.unpack("!H", self._read(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._read(8))
            payload = self._read(size)
            if first & 0x0F == 8:
                raise ConnectionError(f"closed: {payload!r}")
            if first & 0x0F == 1:
                return payload

    def _read(self, size: int) -> bytes:
        while len(self.left) < size:
            more = self.sock.recv(65536)
            if not more:
                raise ConnectionError("closed")
            self.left += more
        found, self.left = self.left[:size], self.left[size:]
        return found


def signed_frame(wire: Wire, **parameters: Any) -> dict[str, Any]:
    """Return the parameters of a frame, signed as the WebSocket API wants it."""
    whole = {**parameters, "apiKey": wire.key, "timestamp": time.time_ns() // 1_000_000}
    text = "&".join(f"{name}={whole[name]}" for name in sorted(whole))
    return {**whole, "signature": wire.signature(text)}
