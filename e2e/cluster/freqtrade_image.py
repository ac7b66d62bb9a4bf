"""The image of freqtrade, from the wheels that `make test-clients` pins with their hashes."""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tradingbot_node.images.build import build_image

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "exchange" / "clients" / "requirements.txt"
RECIPE = Path(__file__).with_name("freqtrade") / "Dockerfile"
WITHOUT_WHEELS = "sdnotify"
BUILDER = "setuptools"


def freqtrade_image() -> Path:
    """Return the archive, after building it if missing. The cache's key covers the lock file."""
    lock = LOCK.read_text()
    needed = needed_by("freqtrade", lock)
    with TemporaryDirectory() as directory:
        context = Path(directory)
        (context / RECIPE.name).write_text(RECIPE.read_text())
        wheels = [text for name, text in needed.items() if name != WITHOUT_WHEELS]
        (context / "wheels.txt").write_text("".join((*wheels, dict(pinned(lock))[BUILDER])))
        (context / "sources.txt").write_text(needed[WITHOUT_WHEELS])
        return build_image(f"freqtrade:{version_of(needed['freqtrade'])}", context=context)


def needed_by(root: str, lock: str) -> dict[str, str]:
    """Return the requirements of a lock file that one of them needs, itself included.

    The comments of the lock file (`# via`) say what needs a package.
    """
    requirements = dict(pinned(lock))
    found = {root}
    while True:
        more = {name for name, text in requirements.items() if not found.isdisjoint(_via(text))}
        if more <= found:
            return {name: text for name, text in requirements.items() if name in found}
        found |= more


def pinned(lock: str) -> Iterator[tuple[str, str]]:
    """Yield each requirement of a lock file by name, with its hashes and comments."""
    for text in re.findall(r"^\S[^#]*?==.*\n(?:[ ].*\n?)*", lock, re.MULTILINE):
        yield re.split(r"[=\[]", text, maxsplit=1)[0], text


def version_of(requirement: str) -> str:
    return re.split(r"==|[ ;]", requirement)[1]


def _via(requirement: str) -> set[str]:
    comments = re.findall(r"^ +#(?: via)?(.*)$", requirement, re.MULTILINE)
    return {word for comment in comments for word in comment.split()}
