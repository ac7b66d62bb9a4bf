"""Draw a recording of a terminal as SVG. Pure: text in, text out.

The recording is plain text, as a terminal shows it. A line that begins with `$ ` is a command, and
continues after a backslash. A line that begins with `# ` is a comment. The rest is output.
"""

import re
from html import escape
from itertools import pairwise

FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
FONT_SIZE = 13
CHARACTER_WIDTH = 7.8
LINE_HEIGHT = 19
MARGIN = 20
BAR_HEIGHT = 34

BACKGROUND, BAR, TEXT, DIM = "#0d1117", "#161b22", "#c9d1d9", "#8b949e"
COMMAND, GOOD, BAD, WARNING = "#ffffff", "#3fb950", "#ff7b72", "#e3b341"
BUTTONS = ("#ff5f57", "#febc2e", "#28c840")
# What a reader should see at once.
WORDS = re.compile(r"\b(?P<good>Running|True)\b|\b(?P<warning>Halted|False)\b")
REFUSAL = re.compile(r"^\* |is invalid: *$")


def draw(recording: str, *, title: str) -> str:
    """Return the SVG of a recording."""
    lines = recording.rstrip("\n").split("\n")
    width = round(max(map(len, lines)) * CHARACTER_WIDTH + 2 * MARGIN)
    height = BAR_HEIGHT + len(lines) * LINE_HEIGHT + MARGIN
    buttons = "".join(
        f'<circle cx="{MARGIN + 20 * index}" cy="{BAR_HEIGHT // 2}" r="6" fill="{color}"/>'
        for index, color in enumerate(BUTTONS)
    )
    rows = [
        _row(line, BAR_HEIGHT + number * LINE_HEIGHT, continued=before.endswith("\\"))
        for number, (before, line) in enumerate(pairwise(["", *lines]), start=1)
        if line
    ]
    size = f'width="{width}" height="{height}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}"'
        f' role="img" font-size="{FONT_SIZE}" font-family="{FONTS}">'
    )
    bar = f"M0 8a8 8 0 0 1 8-8h{width - 16}a8 8 0 0 1 8 8v{BAR_HEIGHT - 8}H0z"
    return "\n".join(
        (
            head,
            f"<title>{escape(title)}</title>",
            f'<rect {size} rx="8" fill="{BACKGROUND}"/>',
            f'<path d="{bar}" fill="{BAR}"/>',
            buttons,
            *rows,
            "</svg>\n",
        )
    )


def _row(line: str, y: int, *, continued: bool) -> str:
    # With its length given, a row has the same columns in every font.
    length = round(len(line) * CHARACTER_WIDTH, 1)
    return (
        f'<text x="{MARGIN}" y="{y}" xml:space="preserve" textLength="{length:g}"'
        f' fill="{TEXT}">{_span(line, COMMAND) if continued else _colored(line)}</text>'
    )


def _colored(line: str) -> str:
    if line.startswith("# "):
        return _span(line, DIM)
    if line.startswith("$ "):
        return _span("$ ", GOOD) + _span(line[2:], COMMAND)
    if REFUSAL.search(line):
        return _span(line, BAD)
    parts, end = [], 0
    for match in WORDS.finditer(line):
        parts.append(escape(line[end : match.start()]))
        parts.append(_span(match[0], GOOD if match["good"] else WARNING))
        end = match.end()
    return "".join((*parts, escape(line[end:])))


def _span(text: str, color: str) -> str:
    return f'<tspan fill="{color}">{escape(text)}</tspan>'
