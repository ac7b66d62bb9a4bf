"""An event loop in a thread of its own, and mailboxes between two event loops.

Work in the other loop can't delay this one: not the renewal of the lease, not a reconcile. The two
share no object that changes; each gets immutable messages from the other, in batches.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Any, Generic, TypeVar

import uvloop

Message = TypeVar("Message")

END_SECONDS = 5.0
"""A thread that does not end in this time is left alone; it does not outlive the process."""

MAX_BATCH = 256
"""Messages that are received in one turn of the event loop; other work runs in between."""


async def run_in_thread(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `main()` in an event loop and thread of its own until it ends, or this is cancelled.

    An exception of `main()` is raised here.
    """
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()
    ended: Future[None] = Future()

    async def announced() -> None:
        task = asyncio.ensure_future(main())
        begun.set_result((asyncio.get_running_loop(), task))
        await task

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(announced())
        except asyncio.CancelledError:
            ended.set_result(None)
        except BaseException as error:
            ended.set_exception(error)  # raised by the caller, who waits for it
        else:
            ended.set_result(None)

    Thread(target=work, name="own-loop", daemon=True).start()
    waiting = asyncio.wrap_future(ended)
    try:
        await asyncio.shield(waiting)
    finally:
        if not waiting.done():
            loop, task = await asyncio.wrap_future(begun)
            with suppress(RuntimeError):  # the loop has been closed in the meantime
                loop.call_soon_threadsafe(task.cancel)
            await asyncio.wait([waiting], timeout=END_SECONDS)


class Mailbox(Generic[Message]):
    """Delivers messages from any thread to one event loop, in order.

    A batch is delivered `gather` seconds after its first message: waking a thread costs more than
    handling most messages.
    """

    def __init__(self, receive: Callable[[Message], None], *, gather: float = 0.0) -> None:
        self._receive = receive
        self._gather = gather
        self._messages: deque[Message] = deque()
        self._awake = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def put(self, message: Message) -> None:
        """Deliver the message to the event loop, or keep it until the mailbox is opened."""
        self._messages.append(message)
        self._wake()

    def open(self) -> None:
        """Receive in the running event loop from now on."""
        self._loop = asyncio.get_running_loop()
        self._wake()

    def close(self) -> None:
        """Stop receiving."""
        self._loop = None

    def _wake(self) -> None:
        # No message is forgotten: a caller of `put` either finds `_awake` unset and wakes the loop,
        # or its message is taken by the delivery that has yet to unset `_awake`.
        loop = self._loop
        if loop is not None and not self._awake:
            self._awake = True
            with suppress(RuntimeError):  # the loop is closed: nobody receives the message
                loop.call_soon_threadsafe(self._wait)

    def _wait(self) -> None:
        if self._gather and self._loop is not None:
            self._loop.call_later(self._gather, self._deliver)
        else:
            self._deliver()

    def _deliver(self) -> None:
        self._awake = False
        for _ in range(MAX_BATCH):
            if self._loop is None or not self._messages:
                return
            self._receive(self._messages.popleft())
        self._wake()
