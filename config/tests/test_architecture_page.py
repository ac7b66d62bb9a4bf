"""docs/architecture.md names files, directories and pages that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# Of the parts of the repository; `/etc/tradingbot/bot.json` is a path in a pod.
NAMED = sorted(set(re.findall(r"`(\w[\w.-]*/[\w./-]*)`", PAGE)))
LINKED = sorted(set(re.findall(r"\]\(([\w./-]+)\)", PAGE)))
WALK = PAGE.split("\n## One field from the file to the pod\n")[1]


@pytest.mark.parametrize("path", NAMED)
def test_a_path_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


@pytest.mark.parametrize("page", LINKED)
def test_a_page_that_is_linked_exists(page: str) -> None:
    assert (ROOT / "docs" / page).is_file()


def test_the_walk_goes_through_every_part_on_the_way_to_the_pod() -> None:
    parts = {path.split("/")[0] for path in NAMED if f"`{path}`" in WALK}

    assert parts >= {"config", "webhooks", "api", "operator", "docs"}
    assert [int(step) for step in re.findall(r"^(\d+)\. ", WALK, re.MULTILINE)] == [*range(1, 15)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("config/samples/tradingbot.yaml", "maxPositionSize"),
        ("config/crd/bases/trading.io_tradingbots.yaml", "maxPositionSize"),
        ("api/tradingbot_api/tradingbot.py", "max_position_size"),
        ("api/tradingbot_api/rules/tradingbot.py", "max_position_size"),
        ("api/tradingbot_api/contract.py", "class BotConfig"),
    ],
)
def test_the_field_is_where_the_walk_says(path: str, text: str) -> None:
    assert f"`{path}`" in WALK
    assert text in (ROOT / path).read_text(encoding="utf-8")
