"""A limit for work that would take hours if a bound of the product were missing."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

HANGS = 60
"""Seconds: the work under test takes a few at most, on a busy machine too."""


@contextmanager
def ends(seconds: int = HANGS) -> Iterator[None]:
    """Raise AssertionError in the main thread if the work inside does not end in `seconds`."""

    def expired(number: int, frame: FrameType | None) -> NoReturn:
        raise AssertionError(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
