"""`tradingbot validate` of bots that run a built-in strategy."""

from __future__ import annotations

from pathlib import Path

import pytest
from tradingbot_cli.main import main

GRID = """\
apiVersion: trading.io/v1
kind: TradingBot
metadata:
  name: grid
spec:
  strategy:
    type: Grid
    image: IMAGE
    parameters:
      symbol: BTC-USDT
      lowerPrice: "50000"
      upperPrice: "70000"
      level: "20"
  exchange: {name: Binance, apiKeySecret: creds}
  riskManagement: {maxPositionSize: "1000", dailyLossLimit: "200"}
"""
OURS = "tradingbot-strategies:0.1.0"
COPY = "registry.example/team/strategies"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def validate(image: str, *arguments: str) -> int:
    Path("grid.yaml").write_text(GRID.replace("IMAGE", image))
    return main(["validate", *arguments, "-f", "grid.yaml"])


def test_an_unknown_parameter_is_shown_with_its_line_and_the_name_that_was_meant(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(OURS) == 1

    out = capsys.readouterr().out
    assert "grid.yaml:13:7: error: spec.strategy.parameters[level]: Forbidden: unknown" in out
    assert 'did you mean "levels"?' in out
    assert '"lowerPrice", "orderSize", "spacing", "symbol", "upperPrice"' in out
    assert "   13 |       level:\n      |       ^^^^^\n" in out


@pytest.mark.parametrize(
    ("image", "arguments", "code"),
    [
        (OURS, (), 1),
        (COPY, (), 0),
        (f"{COPY}:1.0", (f"--strategy-images={COPY}",), 1),
        (OURS, (f"--strategy-images={COPY}",), 0),
        (OURS, (f"--strategy-images={COPY},tradingbot-strategies",), 1),
        (OURS, ("--strategy-images", COPY, "--strategy-images", "tradingbot-strategies"), 1),
        (OURS, ("--strategy-images=",), 0),
    ],
)
def test_whose_parameters_are_checked_is_a_setting_as_that_of_the_webhooks(
    here: Path, image: str, arguments: tuple[str, ...], code: int
) -> None:
    assert validate(image, *arguments) == code


def test_an_image_with_a_tag_in_the_setting_is_a_mistake_in_the_command(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(OURS, f"--strategy-images={COPY}:1.0") == 2

    assert f"'{COPY}:1.0' is not the repository of an image" in capsys.readouterr().err
