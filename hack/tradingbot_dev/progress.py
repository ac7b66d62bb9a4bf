"""Progress of long steps: one changing line on a terminal, elsewhere a line every 20 seconds."""

import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

SPARSE_SECONDS = 20.0


@dataclass
class Progress:
    """Reports to `stream`. Finished steps stay; the state within a step is overwritten."""

    stream: TextIO = field(default_factory=lambda: sys.stdout)
    _shown: bool = False
    _last: float = 0.0

    @property
    def live(self) -> bool:
        return self.stream.isatty() and os.environ.get("TERM") != "dumb"

    def update(self, text: str) -> None:
        """Show the state of the current step. May be called often."""
        now = time.monotonic()
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r\033[K{text[:width]}")
            self._shown = True
        elif now - self._last >= SPARSE_SECONDS:
            self.stream.write(f"{text}\n")
            self._last = now
        self.stream.flush()

    def step(self, text: str) -> None:
        """Print a line that stays: something is done, or about to begin."""
        self.clear()
        self.stream.write(f"{text}\n")
        self.stream.flush()
        self._last = time.monotonic()

    def clear(self) -> None:
        if self._shown:
            self.stream.write("\r\033[K")
            self.stream.flush()
            self._shown = False


def duration(seconds: float) -> str:
    """`45 s`, `3 min 05 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
