"""The live view of `make tour` on a terminal: the demo, once a second, until q is pressed."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tradingbot_dev.errors import LocalClusterError
from tradingbot_dev.product.demo import Demo
from tradingbot_dev.product.demo_view import HEADINGS, View, halt_lines, observe

EVERY_SECONDS = 1.0
_NUMBERS = ("DAY-PNL", "LIMIT", "EXPOSURE")
_COLOURS = {"Running": "green", "Halted": "red", "Stopping": "red", "Degraded": "yellow"}


def can_show() -> bool:
    """Return whether there is a terminal that can be drawn on, with a keyboard."""
    return sys.stdout.isatty() and sys.stdin.isatty() and os.environ.get("TERM") != "dumb"


def show(demo: Demo) -> None:
    """Show the demo until q, Ctrl-C or the end of the terminal."""
    with _single_keys() as keyboard, Live(screen=True, auto_refresh=False) as live:
        while True:
            try:
                live.update(drawn(observe(demo)), refresh=True)
            except LocalClusterError as error:
                live.update(Text(f"{error}\n\nq leaves", style="red"), refresh=True)
            if pressed_q(keyboard, seconds=EVERY_SECONDS):
                return


def drawn(view: View) -> Group:
    """Return a view as rich draws it."""
    bots = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        bots.add_column(heading, justify="right" if heading in _NUMBERS else "left")
    for line in view.bots:
        name, strategy, exchange, enforcement, phase, profit, limit, exposure = line.cells
        sign = "red" if line.day_pnl and Decimal(line.day_pnl) < 0 else "green"
        bots.add_row(
            *(name, strategy, exchange, enforcement, Text(phase, style=_COLOURS.get(phase, ""))),
            *(Text(profit, style=sign), limit, exposure),
        )
    refused = "\n".join(f"{refusal.bot}: {refusal.reason}" for refusal in view.refusals)
    refusals = [Panel(Text(refused), title="refused orders", title_align="left")] if refused else []
    halts = [
        Panel(Text("\n".join(halt_lines(halt))), title=f"{halt.bot} is halted", border_style="red")
        for halt in view.halts
    ]
    market = Text("\n".join(view.prices), style="red" if view.fallen else "")
    hint = "make calm ends the crash" if view.fallen else "make crash lets the market fall"
    return Group(
        Panel(bots, title="kubectl get tbot", title_align="left"),
        Panel(market, title="simulated exchanges", title_align="left"),
        *refusals,
        *halts,
        Text(f"q leaves; in another terminal: {hint}", style="dim"),
    )


@contextmanager
def _single_keys() -> Iterator[int]:
    """Let keys be read without Enter, and without showing them. Yield the file descriptor."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def pressed_q(keyboard: int, *, seconds: float) -> bool:
    """Wait for so long. Return True at once if q is pressed, or if the terminal is gone."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([keyboard], [], [], left)
        if ready:
            key = os.read(keyboard, 1)
            if key in (b"q", b"Q", b""):
                return True
    return False
