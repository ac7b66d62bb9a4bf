"""An API server in the test's process whose watches send the bytes that the test gives them."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web
from operator_harness import serving
from tradingbot_api.model import JsonObject
from tradingbot_operator.cluster.watching.kopf_wiring import WATCHED

PATHS = {
    plural: (f"/apis/{group}/{version}" if group else f"/api/{version}")
    for group, version, plural, _ in WATCHED
}
CRDS = "customresourcedefinitions"


def resource(plural: str, kind: str, *, namespaced: bool = True) -> JsonObject:
    return {
        "name": plural,
        "singularName": kind.lower(),
        "kind": kind,
        "namespaced": namespaced,
        "verbs": ["list", "watch", "get"],
    }


def group(name: str, version: str) -> JsonObject:
    served = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [served], "preferredVersion": served}


@dataclass
class WatchServer:
    """Serves discovery, empty lists, and watches whose lines are set by plural."""

    version: int = 100
    namespaces: tuple[str, ...] = ()
    watches: dict[str, list[asyncio.Queue[bytes | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    begun: list[str] = field(default_factory=list)
    """The plural of each watch that has started, in order."""
    on_watch: Callable[[str], None] = lambda _: None
    undiscovered: set[str] = field(default_factory=set)
    """Plurals that discovery does not list."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on loopback while the body runs. Yields the URL."""
        async with serving(self._handle) as url:
            yield url

    def say(self, plural: str, line: bytes) -> int:
        """Send bytes through all open watches of a kind. Return their number."""
        for watch in self.watches[plural]:
            watch.put_nowait(line)
        return len(self.watches[plural])

    def end(self, plural: str) -> None:
        """End all open watches of a kind regularly."""
        for watch in self.watches[plural]:
            watch.put_nowait(None)

    def event(self, plural: str, name: str, *, type_: str = "ADDED", **parts: object) -> None:
        """Send an event of an object through all open watches of its kind."""
        self.version += 1
        meta = {
            "name": name,
            "namespace": "desk",
            "uid": f"uid-{name}",
            "resourceVersion": str(self.version),
        }
        kind = next(kind for _, _, watched, kind in WATCHED if watched == plural)
        obj = {"apiVersion": "v1", "kind": kind, "metadata": meta, **parts}
        self.say(plural, json.dumps({"type": type_, "object": obj}).encode() + b"\n")

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        plural = request.path.rsplit("/", 1)[-1]
        found = self._discovery(request.path)
        if found is not None:
            return web.json_response(found)
        if "watch" in request.query:
            return await self._watch(request, plural)
        return web.json_response(
            {
                "kind": "List",
                "apiVersion": "v1",
                "metadata": {"resourceVersion": str(self.version)},
                "items": [{"metadata": {"name": name, "uid": name}} for name in self.namespaces]
                if plural == "namespaces"
                else [],
            }
        )

    def _discovery(self, path: str) -> JsonObject | None:
        crds = resource(CRDS, "CustomResourceDefinition", namespaced=False)
        if path == "/api":
            return {"versions": ["v1"]}
        if path == "/apis":
            versions = {(name, version) for name, version, *_ in WATCHED if name}
            versions.add(("apiextensions.k8s.io", "v1"))
            return {"groups": [group(*version) for version in sorted(versions)]}
        if path == "/apis/apiextensions.k8s.io/v1":
            return {"resources": [crds]}
        served = [
            resource(plural, kind)
            for _, _, plural, kind in WATCHED
            if PATHS[plural] == path and plural not in self.undiscovered
        ]
        if path == "/api/v1":
            served.append(resource("namespaces", "Namespace", namespaced=False))
        return {"resources": served} if served else None

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        response = web.StreamResponse()
        await response.prepare(request)
        self.watches[plural].append(lines)
        self.begun.append(plural)
        self.on_watch(plural)
        try:
            with suppress(ConnectionError):
                while (line := await lines.get()) is not None:
                    await response.write(line)
        finally:
            self.watches[plural].remove(lines)
        return response
