"""A server on loopback that gives scripted answers, and a client for it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import kopf
from aiohttp import web
from operator_harness import serving
from tradingbot_operator.cluster.client import KubernetesApi

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}
REFUSED = {"kind": "Status", "reason": "Forbidden", "message": "not allowed"}

Call = Callable[[KubernetesApi], Awaitable[Any]]


@dataclass
class Server:
    """Gives the answers in turn, repeating the last one, and records all requests."""

    answers: list[web.Response | bytes | Any]
    status: int = 200
    seen: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.read())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = await answer(request)
        if isinstance(answer, tuple):
            code, answer = answer
        else:
            code = self.status
        if isinstance(answer, web.Response):
            return answer
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return web.Response(status=code, body=body)


def against(server: Server, call: Call, *, prefix: str = "") -> Any:
    """Return the result of `call` with a client of `server`."""

    async def main() -> Any:
        async with serving(server.respond, prefix=prefix) as url:
            api = logged_in(url)
            try:
                return await call(api)
            finally:
                await api.close()

    return asyncio.run(main())


def logged_in(url: str, tokens: list[str] | None = None) -> KubernetesApi:
    async def login() -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=url, token=tokens.pop(0) if tokens else "t")

    return KubernetesApi(login)


def get(api: KubernetesApi) -> Awaitable[Any]:
    return api.get("ConfigMap", "n", "c")
