"""Messages that wait for the clients of WebSockets, with bounds for each client and for all.

What waits is text that was written for one client. One that does not read keeps as much as its
outbox takes and is overrun then; if all outboxes together are full, the fullest one is.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from aiohttp import web

from tradingbot_exchange.streams import cut_off

MOST_MESSAGES = 10_000
MOST_CHARACTERS = 4 * 1024 * 1024
"""Of one client. A single message may be longer."""
MOST_OF_ALL = 64 * 1024 * 1024
"""Characters of all clients of an exchange."""


class Outboxes:
    """The outboxes of one exchange."""

    def __init__(self, most: int = MOST_OF_ALL) -> None:
        self._most = most
        self._open: set[Outbox] = set()
        self.characters = 0
        """That wait now."""

    def open(self, cut: Callable[[], None]) -> "Outbox":
        """Return an outbox for a new client. Close it when the client has gone.

        `cut` is called when the outbox is overrun: it must cut the client off.
        """
        outbox = Outbox(self, cut)
        self._open.add(outbox)
        return outbox

    def forget(self, outbox: "Outbox") -> None:
        """Take what waits in an outbox off the sum."""
        self._open.discard(outbox)
        self.characters -= outbox.characters

    def count(self, characters: int) -> None:
        """Add to the sum; overrun the fullest outbox if it is too much."""
        self.characters += characters
        if self.characters > self._most:
            max(self._open, key=lambda each: each.characters).overrun()


class Outbox:
    """What waits for one client. `put` never blocks."""

    def __init__(self, all_of_them: Outboxes, cut: Callable[[], None]) -> None:
        self._all, self._cut = all_of_them, cut
        self._waiting: deque[str] = deque()
        self._filled = asyncio.Event()
        self.characters = 0
        self._closed = False

    def put(self, text: str) -> None:
        """Let a message wait. It is lost if the outbox is closed or overrun."""
        if self._closed:
            return
        size = len(text)
        if self._waiting and (
            len(self._waiting) >= MOST_MESSAGES or self.characters + size > MOST_CHARACTERS
        ):
            self.overrun()
            return
        self._waiting.append(text)
        self._filled.set()
        self.characters += size
        self._all.count(size)

    def overrun(self) -> None:
        """Lose what waits, and cut the client off."""
        self.close()
        self._cut()

    async def get(self) -> str:
        """Wait for the next message, and take it out. There is none after the end."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return self.take()

    def take(self) -> str:
        """Take the next message out. IndexError if none waits."""
        text = self._waiting.popleft()
        self.characters -= len(text)
        self._all.characters -= len(text)
        return text

    def close(self) -> None:
        """Lose what waits, and take nothing more. The outbox no longer counts."""
        self._closed = True
        self._all.forget(self)
        self._waiting.clear()
        self.characters = 0

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._waiting)


OUTBOXES: web.AppKey[Outboxes] = web.AppKey("outboxes", Outboxes)
"""Set by the server. Without it, each client has a bound of its own alone."""


def outbox_for(request: web.Request) -> Outbox:
    """Return the outbox of a client that has asked for a WebSocket, which is cut if it overruns."""
    boxes = request.config_dict.get(OUTBOXES) or Outboxes()
    return boxes.open(partial(cut_off, request))
