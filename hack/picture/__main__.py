"""Record the commands of the picture and draw it.

python -m picture           run the commands, and write the recording and the picture
python -m picture draw      draw the recording that exists
"""

import sys
from pathlib import Path

from picture.record import record
from picture.svg import draw

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
RECORDING = IMAGES / "first-minute.txt"
PICTURE = RECORDING.with_suffix(".svg")
TITLE = (
    "kubectl in a terminal: a dangerous change is refused, an order beyond a limit is refused,"
    " a loss halts bots"
)


def main(arguments: list[str]) -> int:
    """Write the files."""
    if arguments != ["draw"]:
        IMAGES.mkdir(exist_ok=True)
        RECORDING.write_text(record(), encoding="utf-8")
    PICTURE.write_text(draw(RECORDING.read_text(encoding="utf-8"), title=TITLE), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
