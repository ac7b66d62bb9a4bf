"""The part of the kubelet's HTTPS API that `kubectl logs` needs.

Every user of this machine can reach the port, so clients need a certificate of the control plane's
CA, as the API server has one.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tradingbot_dev.pods.worker import PodWorker

FOLLOW_SECONDS = 0.2
CHUNK = 64 * 1024
Find = Callable[[str, str], PodWorker | None]
"""Returns the worker of a pod by namespace and name."""

_NO_PROCESS = (
    "nothing runs in this pod: the node simulates it. Only pods whose images are in the table of"
    " hack/tradingbot_dev/pods/images.py run as processes"
)
_UNSUPPORTED = (
    "{what} is not supported: the pod is a process on this machine, not a container. Its address"
    " is {address}, and its files are in {directory}"
)
_WHAT = {
    "exec": "kubectl exec",
    "attach": "kubectl attach",
    "portForward": "kubectl port-forward",
    "run": "running commands in a pod",
}
_UNSUPPORTED_OPTIONS = ("timestamps", "sinceSeconds", "sinceTime")


@dataclass(frozen=True)
class LogRequest:
    """What of a log is requested."""

    path: Path
    tail: int | None
    limit: int | None
    follow: bool


def application(find: Find, *, ready: Callable[[], bool]) -> web.Application:
    """Return the server's routes."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok" if ready() else "starting", status=200 if ready() else 503)

    async def logs(request: web.Request) -> web.StreamResponse:
        return await _logs(request, _worker(request, find, web.HTTPBadRequest))

    async def unsupported(request: web.Request) -> web.Response:
        worker = _worker(request, find)
        directory = worker.container("").state.pod(worker.record.uid).path
        what = _WHAT[request.path.split("/")[1]]
        text = _UNSUPPORTED.format(what=what, address=worker.address, directory=directory)
        return web.Response(text=text, status=501)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs)
    for name in _WHAT:
        app.router.add_route("*", f"/{name}/{{namespace}}/{{pod}}{{rest:.*}}", unsupported)
    return app


def server_tls(*, ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS settings: only clients with a certificate of the CA."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    return context


def _worker(
    request: web.Request, find: Find, error: type[web.HTTPError] = web.HTTPNotFound
) -> PodWorker:
    """Return the worker of a pod. `error` is for a pod that has none.

    Of an answer 404 to a request for logs, kubectl does not show the text.
    """
    found = find(request.match_info["namespace"], request.match_info["pod"])
    if found is None:
        raise error(text=_NO_PROCESS)
    return found


async def _logs(request: web.Request, worker: PodWorker) -> web.StreamResponse:
    wanted = _log_request(request, worker)
    name = request.match_info["container"]
    attempt = worker.record.attempts[name].number
    container = worker.container(name)

    def may_grow() -> bool:
        current = worker.record.attempts.get(name)
        goes_on = current is not None and current.number == attempt
        return goes_on and container.running() is not None

    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    async for chunk in read_log(wanted, may_grow=may_grow):
        await response.write(chunk)
    await response.write_eof()
    return response


def _log_request(request: web.Request, worker: PodWorker) -> LogRequest:
    query, name = request.query, request.match_info["container"]
    for option in _UNSUPPORTED_OPTIONS:
        if query.get(option, "false") not in ("false", ""):
            raise web.HTTPBadRequest(
                text=f"{option} is not supported: the logs of a pod that runs as a process have no"
                " times"
            )
    attempt = worker.record.attempts.get(name)
    if attempt is None:
        raise web.HTTPBadRequest(text=f'container "{name}" has not started yet')
    previous = query.get("previous") == "true"
    # Of a container that does not run, the newest attempt is the previous one.
    before = previous and worker.container(name).running() is not None
    path = worker.container(name).log_file(attempt.number - before)
    if not path.exists():
        raise web.HTTPBadRequest(
            text=f'previous terminated container "{name}" in pod "{worker.record.name}" not found'
        )
    numbers = {}
    for option in ("tailLines", "limitBytes"):
        text = query.get(option)
        if text is not None and not text.isdecimal():
            raise web.HTTPBadRequest(text=f"{option} must be a number, not {text!r}")
        numbers[option] = int(text) if text is not None else None
    follow = query.get("follow") == "true" and not previous
    return LogRequest(path, numbers["tailLines"], numbers["limitBytes"], follow)


async def read_log(wanted: LogRequest, *, may_grow: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield the requested part of a log; with `follow`, what is added until the process ends."""
    left = wanted.limit
    with wanted.path.open("rb") as file:
        if wanted.tail is not None:
            file.seek(tail_offset(file.read(), wanted.tail))
        while left is None or left > 0:
            ending = not wanted.follow or not may_grow()  # before the read: no end is missed
            chunk = file.read(CHUNK if left is None else min(CHUNK, left))
            if chunk:
                left = None if left is None else left - len(chunk)
                yield chunk
            elif ending:
                return
            else:
                await asyncio.sleep(FOLLOW_SECONDS)


def tail_offset(content: bytes, lines: int) -> int:
    """Return where the last `lines` lines begin; a last line without an end counts."""
    if lines == 0:
        return len(content)
    end = len(content) - content.endswith(b"\n")
    for _ in range(lines):
        end = content.rfind(b"\n", 0, end)
        if end < 0:
            return 0
    return end + 1
