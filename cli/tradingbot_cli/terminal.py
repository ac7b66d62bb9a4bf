"""Text for a terminal: colours, and names without control characters."""

from __future__ import annotations

import os
import sys

BOLD, RED, YELLOW, GREEN, BLUE, PLAIN = 1, 31, 33, 32, 34, 0


class Paint:
    """ANSI colours, or no colours."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, *codes: int) -> str:
        if not self._color:
            return text
        return f"\x1b[{';'.join(map(str, codes))}m{text}\x1b[{PLAIN}m"


def wants_color() -> bool:
    """Whether to print colours: stdout is a terminal and NO_COLOR is not set."""
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def one_line(text: str) -> str:
    """Escape a name, so that it can't forge a line or send control codes to the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
