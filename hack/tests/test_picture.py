"""The picture of the README: drawn from the recording that is stored beside it."""

import xml.etree.ElementTree as ET
from pathlib import Path

from picture.__main__ import PICTURE, RECORDING, TITLE
from picture.svg import draw

README = Path(__file__).parents[2] / "README.md"


def rows(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg) if "text" in element.tag]


def test_the_stored_picture_is_drawn_from_the_stored_recording() -> None:
    recording = RECORDING.read_text(encoding="utf-8")

    assert PICTURE.read_text(encoding="utf-8") == draw(recording, title=TITLE)


def test_it_shows_every_line_of_the_recording() -> None:
    recording = '$ kubectl get <x> \\\n    -o wide\n\nREADY  "&"\n'

    assert rows(draw(recording, title="t")) == [
        "$ kubectl get <x> \\",
        "    -o wide",
        'READY  "&"',
    ]


def test_the_readme_shows_the_picture() -> None:
    path = PICTURE.relative_to(README.parent).as_posix()

    assert f"]({path})" in README.read_text(encoding="utf-8")
