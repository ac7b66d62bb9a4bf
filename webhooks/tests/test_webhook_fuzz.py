"""Rubbish at the door: raw bytes, broken JSON, wrong everything. The server answers and lives on.

TRADINGBOT_FUZZ_REQUESTS=100000 sends as many; each thread draws its own from a seed of its own.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import random
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tradingbot_webhooks.settings import MAX_BODY
from webhook_process import BOT, Server, Starter, review

REQUESTS = int(os.environ.get("TRADINGBOT_FUZZ_REQUESTS", "3000"))
THREADS = 3
GROWTH = 24 << 20
"""Bytes that memory may grow by after the first quarter, in which all kinds were seen."""

Draw = Callable[[random.Random], bytes]

REVIEW = json.dumps(review(BOT)).encode()
JSON_TYPE = b"Content-Type: application/json"
RUBBISH: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 1e308, 10**30, "", "x" * 5000, "150", "-1Gi", "24:00"),
    *([], {}, [None], [[[]]], {"": {}}, {"api-key": "x"}, [{"start": "09:00"}] * 60),
)


def request(
    body: bytes = b"", *, method: bytes = b"POST", path: bytes = b"/mutate", head: bytes = JSON_TYPE
) -> bytes:
    length = b"" if b"Length" in head else b"Content-Length: %d\r\n" % len(body)
    return b"%b %b HTTP/1.1\r\nHost: x\r\n%b\r\n%b\r\n" % (method, path, head, length) + body


def raw_bytes(chance: random.Random) -> bytes:
    return b"\x00" + chance.randbytes(chance.randrange(200)) + b"\r\n\r\n"


def broken_json(chance: random.Random) -> bytes:
    body = bytearray(REVIEW)
    for _ in range(chance.randint(1, 8)):
        at, length = chance.randrange(len(body)), chance.choice([0, 1, 1, 20])
        body[at : at + length] = chance.choice(
            [b"", chance.randbytes(1), b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"0", b"-"]
        )
    return request(bytes(body), path=chance.choice([b"/mutate", b"/validate"]))


def broken_object(chance: random.Random) -> bytes:
    obj = copy.deepcopy(BOT)
    for _ in range(chance.randint(1, 3)):
        holder = chance.choice([obj, obj["spec"], obj["metadata"]])
        if not isinstance(holder, dict) or not holder:
            break
        inner = holder[chance.choice(list(holder))]
        holder = inner if isinstance(inner, dict) and inner and chance.random() < 0.7 else holder
        key = chance.choice([*holder, f"new{chance.randrange(10**6)}"])
        if key not in {"spec", "metadata"}:
            holder[key] = copy.deepcopy(chance.choice(RUBBISH))
    operation = {"operation": "UPDATE", "oldObject": BOT} if chance.random() < 0.5 else {}
    body = json.dumps(review(obj, **operation)).encode()
    return request(body, path=chance.choice([b"/mutate", b"/validate"]))


def deep(chance: random.Random) -> bytes:
    depth = chance.choice([10, 100, 300, 3000, 50_000])
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
    nested = opening * depth + b"1" + closing * depth
    return request(chance.choice([nested, REVIEW.replace(b'"Arbitrage"', nested)]))


def huge(chance: random.Random) -> bytes:
    if chance.random() < 0.9:  # announced, and not sent
        size = chance.choice([MAX_BODY + 1, 10**9, 10**18])
        return request(head=JSON_TYPE + b"\r\nContent-Length: %d" % size)
    return request(chance.choice([b" ", b"[", b'"', b"9"]) * (MAX_BODY - 10))


def wrong_type(chance: random.Random) -> bytes:
    name = chance.choice([b"text/plain", b"application/yaml", b"", b"application/jsonx", b"\xff"])
    return request(REVIEW, head=b"Content-Type: " + name)


def wrong_path(chance: random.Random) -> bytes:
    path = chance.choice([b"/", b"/mutate/", b"//mutate", b"/healthz", b"/%00", b"/" + b"a" * 5000])
    return request(REVIEW, path=path)


def wrong_method(chance: random.Random) -> bytes:
    return request(method=chance.choice([b"GET", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"]))


def huge_head(chance: random.Random) -> bytes:
    return request(head=b"X-Long: " + b"a" * chance.randint(40_000, 60_000))


KINDS: dict[Draw, tuple[int, set[int]]] = {
    raw_bytes: (10, {400}),
    broken_json: (30, {200, 400}),
    broken_object: (40, {200}),
    deep: (4, {200, 400, 413}),
    huge: (1, {400, 413}),
    wrong_type: (5, {400, 415}),
    wrong_path: (4, {404}),
    wrong_method: (5, {405}),
    huge_head: (1, {431}),
}
"""How often each kind of request is sent, and the codes that are right for it."""


@dataclass
class Client:
    """Sends what it draws over one connection for as long as the server keeps it open."""

    server: Server
    chance: random.Random
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    connection: ssl.SSLSocket | None = None

    def send_many(self, count: int) -> None:
        weights = [weight for weight, _ in KINDS.values()]
        for _ in range(count):
            (draw,) = self.chance.choices(list(KINDS), weights)
            try:
                code, body = self._answer(draw(self.chance))
            except Exception as error:
                self.connection = None
                self.faults.append(f"{draw.__name__}: {error!r}")
                continue
            self.seen[draw.__name__, code] += 1
            if code not in KINDS[draw][1] or (code == 200 and not _is_verdict(body)):
                self.faults.append(f"{draw.__name__}: {code} {body[:300]!r}")

    def _answer(self, sent: bytes) -> tuple[int, bytes]:
        if self.connection is None:
            self.connection = self.server.tls_socket()
        with contextlib.suppress(OSError):  # refused before it was sent whole: it has answered
            self.connection.sendall(sent)
        received = b""
        while b"\r\n\r\n" not in received:
            part = self.connection.recv(65536)
            assert part, f"closed after {received!r}"
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        (length,) = (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        while len(body) < length:
            body += self.connection.recv(65536)
        if b"connection: close" in head.lower():
            self.connection.close()
            self.connection = None
        return int(head.split()[1]), body


def _is_verdict(body: bytes) -> bool:
    """An answer to the review: with a uid, and no failure inside."""
    response = json.loads(body)["response"]
    return (
        isinstance(response["uid"], str)
        and isinstance(response["allowed"], bool)
        and response.get("status", {}).get("code") in {None, 422}
    )


def resident(server: Server) -> int:
    """Bytes of memory that the process holds."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_rubbish_gets_the_right_code_and_leaves_nothing_behind(start: Starter) -> None:
    server = start()
    clients = [Client(server, random.Random(seed)) for seed in range(THREADS)]

    def send(count: int) -> None:
        threads = [
            threading.Thread(target=client.send_many, args=(count // THREADS,))
            for client in clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    memory = []
    for _ in range(4):
        send(REQUESTS // 4)
        memory.append(resident(server))

    seen = sum((client.seen for client in clients), Counter())
    print(f"{seen.total()} requests; KiB after each quarter:", *(size >> 10 for size in memory))
    print(*(f"{name} {code}: {count}" for (name, code), count in sorted(seen.items())), sep="\n")
    assert [fault for client in clients for fault in client.faults] == []
    assert {name for name, _ in seen} == {draw.__name__ for draw in KINDS}
    assert memory[-1] - memory[0] < GROWTH
    assert server.post("/mutate", review(BOT))[1]["allowed"]
    assert server.process.poll() is None
