"""Text for a terminal: colours, and names that must not be able to command it."""

from __future__ import annotations

import os
import sys

BOLD, RED, YELLOW, GREEN, BLUE, PLAIN = 1, 31, 33, 32, 34, 0


class Paint:
    """ANSI colours, or none."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, *codes: int) -> str:
        if not self._color:
            return text
        return f"\x1b[{';'.join(map(str, codes))}m{text}\x1b[{PLAIN}m"


def wants_color() -> bool:
    """Whether whoever reads our output sees colours, and wants them."""
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def one_line(text: str) -> str:
    """A name that somebody else chose must not be able to forge a line or command the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
