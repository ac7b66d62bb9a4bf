"""Names resolved in a few threads of their own.

`getaddrinfo` blocks its thread for as long as the name server is silent, half a minute and more. In
the loop's own threads it would hold up all else that needs one, and the end of the process too.
Here a name that hangs has one thread at most, however often it is asked for, and a daemon.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread

from aiohttp.abc import AbstractResolver, ResolveResult

THREADS = 16

Name = tuple[str, int, int]
"""Host, port, address family."""

LookUp = Callable[[Name], list[ResolveResult]]


def look_up(name: Name) -> list[ResolveResult]:
    """The addresses of a host; blocks. Raises OSError if there are none."""
    host, port, family = name
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=int(kind),
            proto=protocol,
            flags=int(socket.AI_NUMERICHOST | socket.AI_NUMERICSERV),
        )
        for kind, _, protocol, _, address in found
    ]


@dataclass
class _Job:
    name: Name
    answer: "asyncio.Future[list[ResolveResult]]"
    waiting: int = 0
    begun: bool = False


class BoundedResolver(AbstractResolver):
    """Looks names up, at most `threads` at a time. Nothing is kept: an address may change hands."""

    def __init__(self, threads: int = THREADS, *, look_up: LookUp = look_up) -> None:
        self._most = threads
        self._look_up = look_up
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._pending: dict[Name, _Job] = {}
        self._threads = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses; whoever asks for a name that is being looked up gets the same answer."""
        name = (host, port, int(family))
        job = self._pending.get(name) or self._submit(name)
        job.waiting += 1
        try:
            return await asyncio.shield(job.answer)
        finally:
            job.waiting -= 1
            if not job.waiting and not job.begun:  # nobody wants it any more
                job.answer.cancel()
                self._forget(job)

    async def close(self) -> None:
        """End the threads, each once its look-up is done."""
        for _ in range(self._threads):
            self._jobs.put(None)
        self._threads = 0

    def _submit(self, name: Name) -> _Job:
        job = self._pending[name] = _Job(name, asyncio.get_running_loop().create_future())
        self._jobs.put(job)
        if self._threads < self._most:
            self._threads += 1
            Thread(target=self._work, name="resolver", daemon=True).start()
        return job

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.answer.cancelled():
                continue
            job.begun = True
            answer: list[ResolveResult] | Exception
            try:
                answer = self._look_up(job.name)
            except (OSError, ValueError) as error:
                answer = error
            with suppress(RuntimeError):  # the loop has been closed: nobody waits
                job.answer.get_loop().call_soon_threadsafe(self._done, job, answer)

    def _done(self, job: _Job, answer: list[ResolveResult] | Exception) -> None:
        self._forget(job)
        if job.answer.done():
            return
        if isinstance(answer, Exception):
            job.answer.set_exception(answer)
            job.answer.exception()  # that nobody may wait any more is no error
        else:
            job.answer.set_result(answer)

    def _forget(self, job: _Job) -> None:
        if self._pending.get(job.name) is job:
            del self._pending[job.name]
