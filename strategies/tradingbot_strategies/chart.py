"""The chart of a backtest, as SVG: the account's value, and the price below it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape

from tradingbot_strategies.backtest import Point

WIDTH, LEFT, RIGHT = 960, 90, 20
PANELS = ((40, 280), (350, 150))
"""Top and height of each panel, in pixels."""
MAX_POINTS = 800

_STYLE = (
    "text{font:12px sans-serif;fill:#555}.title{font-size:15px;fill:#111}"
    "line{stroke:#ddd}polyline{fill:none;stroke-width:1.5}"
)


def svg(points: Sequence[Point], *, title: str, money: str, symbol: str) -> str:
    """Return the chart of at least one point."""
    shown = _thinned(points)
    height = PANELS[-1][0] + PANELS[-1][1] + 40
    panels = (
        _panel(*PANELS[0], [p.equity for p in shown], label=f"account, {money}", color="#1565c0"),
        _panel(*PANELS[1], [p.price for p in shown], label=symbol, color="#6d4c41"),
    )
    ends = (
        f'<text x="{x}" y="{height - 15}" text-anchor="{anchor}">{_date(point.time)}</text>'
        for x, anchor, point in ((LEFT, "start", shown[0]), (WIDTH - RIGHT, "end", shown[-1]))
    )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>',
            *panels,
            *ends,
            "</svg>\n",
        )
    )


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most about MAX_POINTS points, of each stretch the lowest and the highest value."""
    size = max(1, 2 * len(points) // MAX_POINTS)
    kept = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        extremes = {min(stretch, key=_equity).time, max(stretch, key=_equity).time}
        kept += [point for point in stretch if point.time in extremes]
    return [points[0], *kept, points[-1]]


def _equity(point: Point) -> Decimal:
    return point.equity


def _panel(top: int, height: int, values: Sequence[Decimal], *, label: str, color: str) -> str:
    low, high = min(values), max(values)
    span = high - low or Decimal(1)
    step = Decimal(WIDTH - LEFT - RIGHT) / max(len(values) - 1, 1)
    line = " ".join(
        f"{LEFT + step * number:.1f},{top + height * (high - value) / span:.1f}"
        for number, value in enumerate(values)
    )
    grid = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top + height * part // 4}"'
        f' y2="{top + height * part // 4}"/>'
        f'<text x="{LEFT - 8}" y="{top + height * part // 4 + 4}" text-anchor="end">'
        f"{high - span * part / 4:.2f}</text>"
        for part in range(5)
    )
    name = f'<text x="{LEFT + 6}" y="{top + 14}">{escape(label)}</text>'
    return f'{grid}{name}<polyline stroke="{color}" points="{line}"/>'


def _date(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d %H:%M")
