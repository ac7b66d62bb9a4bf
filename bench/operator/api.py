"""A client of the API server for the operators' benchmark: many requests at once, and watches.

Plain HTTP over kept connections: a client library would use more CPU than the operators that are
measured.
"""

import http.client
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Self

from tradingbot_dev.control_plane.pki import ADMIN
from tradingbot_dev.control_plane.plane import ControlPlane

from bench.common.sample import Json

CONNECTIONS = 20
JSON, MERGE = "application/json", "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
SECONDS = 60
PAUSE_SECONDS = 0.05


class ApiError(RuntimeError):
    """Raised when the API server rejects a request of the benchmark."""


@dataclass(frozen=True)
class Request:
    """One request; `body` is sent as JSON, or as a merge patch with PATCH."""

    method: str
    path: str
    body: Json | None = None


class Api:
    """Requests as the administrator."""

    def __init__(self, plane: ControlPlane) -> None:
        self._port = plane.ports.kube_apiserver
        self._tls = ssl.create_default_context(cafile=str(plane.pki.ca))
        self._tls.load_cert_chain(plane.pki.certificate(ADMIN), plane.pki.key(ADMIN))

    def get(self, path: str, *, accept: str = JSON) -> Json:
        """Return the object at `path`."""
        found: Json = json.loads(self.text(path, accept=accept))
        return found

    def text(self, path: str, *, accept: str = JSON) -> str:
        """Return the body at `path`."""
        with closing(self._connect()) as connection:
            return _send(connection, Request("GET", path), accept=accept).decode()

    def do(self, request: Request) -> None:
        """Send one request."""
        with closing(self._connect()) as connection:
            _send(connection, request)

    def do_all(self, requests: Iterable[Request]) -> None:
        """Send all requests over `CONNECTIONS` connections. Raises the first error."""
        todo: queue.SimpleQueue[Request] = queue.SimpleQueue()
        for request in requests:
            todo.put(request)

        def work() -> None:
            with closing(self._connect()) as connection:
                while True:
                    try:
                        request = todo.get_nowait()
                    except queue.Empty:
                        return
                    _send(connection, request)

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for done in [pool.submit(work) for _ in range(CONNECTIONS)]:
                done.result()

    def metadata(self, path: str) -> list[Json]:
        """Return the metadata of all objects of a list, from the API server's cache."""
        mark = "&" if "?" in path else "?"
        found = self.get(f"{path}{mark}resourceVersion=0", accept=METADATA_ONLY)
        return [item["metadata"] for item in found.get("items") or ()]

    def watch(self, path: str) -> "Watch":
        """Watch the objects of a list from now on."""
        mark = "&" if "?" in path else "?"
        version = self.get(f"{path}{mark}limit=1")["metadata"]["resourceVersion"]
        query = f"{path}{mark}watch=true&timeoutSeconds=3600&resourceVersion="
        return Watch(lambda: self._connect(seconds=None), query, version)

    def _connect(self, *, seconds: float | None = SECONDS) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=seconds, context=self._tls
        )


def _send(
    connection: http.client.HTTPSConnection, request: Request, *, accept: str = JSON
) -> bytes:
    headers = {"Accept": accept}
    body = None
    if request.body is not None:
        body = json.dumps(request.body).encode()
        headers["Content-Type"] = MERGE if request.method == "PATCH" else JSON
    connection.request(request.method, request.path, body, headers)
    response = connection.getresponse()
    answer = response.read()
    if response.status >= 400:
        said = answer.decode(errors="replace")[:500]
        raise ApiError(f"{request.method} {request.path}: {response.status} {said}")
    return answer


class Watch:
    """Events of a watch, until `close`.

    The API server may end a watch, for example just after a CRD was installed. The watch then
    continues from its last resource version, so that no event is missed.
    """

    def __init__(
        self, connect: Callable[[], http.client.HTTPSConnection], query: str, version: str
    ) -> None:
        self._connect = connect
        self._query = query
        self._version = version
        self._closed = False
        self._connection = self._begin()

    def close(self) -> None:
        """End the watch, from any thread."""
        self._closed = True
        with suppress(OSError):
            if self._connection.sock is not None:
                self._connection.sock.shutdown(socket.SHUT_RDWR)

    def __iter__(self) -> Iterator[Json]:
        while not self._closed:
            with closing(self._connection) as connection:
                yield from self._events(connection)
            if not self._closed:
                time.sleep(PAUSE_SECONDS)
                self._connection = self._begin()

    def _begin(self) -> http.client.HTTPSConnection:
        connection = self._connect()
        connection.request("GET", self._query + self._version, headers={"Accept": JSON})
        return connection

    def _events(self, connection: http.client.HTTPSConnection) -> Iterator[Json]:
        response = connection.getresponse()
        if response.status != 200:
            raise ApiError(f"a watch was answered with {response.status}: {response.read(500)!r}")
        rest = b""
        while piece := self._read(response):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(f"a watch has failed: {event['object'].get('message')}")
                self._version = event["object"]["metadata"]["resourceVersion"]
                yield event

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read1(1 << 18)
        except (OSError, http.client.HTTPException):
            if self._closed:
                return b""
            raise


class Settling:
    """Watches all bots of a namespace until all of them are settled."""

    def __init__(self, api: Api, path: str) -> None:
        self._watch = api.watch(path)
        self._news = threading.Condition()
        self._settled: dict[str, float] = {}
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.close()
        self._thread.join()

    def wait(self, bots: int, *, seconds: float, alive: Callable[[], object]) -> float:
        """Return the time (of `time.perf_counter`) at which the last of `bots` bots settled.

        `alive` is called every second, and raises when the operator has ended.
        """
        deadline = time.monotonic() + seconds
        with self._news:
            while len(self._settled) < bots:
                if self._failure is not None:
                    raise ApiError("could not watch the bots") from self._failure
                if not self._news.wait(min(1.0, max(0.0, deadline - time.monotonic()))):
                    alive()
                    if time.monotonic() < deadline:
                        continue
                    raise ApiError(
                        f"only {len(self._settled)} of {bots} bots settled in {seconds:.0f} s"
                    )
            return max(self._settled.values())

    def _run(self) -> None:
        try:
            for event in self._watch:
                now = time.perf_counter()
                bot = event["object"]
                name = bot["metadata"]["name"]
                with self._news:
                    if not is_settled(bot):
                        self._settled.pop(name, None)
                    elif name not in self._settled:
                        self._settled[name] = now
                        self._news.notify_all()
        except BaseException as error:  # raised where it is waited for
            with self._news:
                self._failure = error
                self._news.notify_all()


def is_settled(bot: Json) -> bool:
    """Return whether the status reports Running, Ready and all children for the current spec."""
    generation = bot["metadata"]["generation"]
    status = bot.get("status") or {}
    ready: Json = next(
        (item for item in status.get("conditions") or () if item["type"] == "Ready"), {}
    )
    resources = status.get("deployedResources") or ()
    return (
        status.get("phase") == "Running"
        and status.get("observedGeneration") == generation == ready.get("observedGeneration")
        and ready.get("status") == "True"
        and len(resources) == 3
        and all(resource["ready"] for resource in resources)
    )
