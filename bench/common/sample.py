"""The sample bot in variants, so that no server sees the same object twice in a row."""

from typing import Any

import yaml
from tradingbot_dev.product.manifests import SAMPLE_BOT

Json = dict[str, Any]
VARIANTS = 64


def sample_bot(number: int) -> Json:
    """Return a variant of the sample bot, with its own name, image and amounts."""
    bot: Json = yaml.safe_load(SAMPLE_BOT.read_text(encoding="utf-8"))
    bot["metadata"] |= {"name": f"arb-bot-binance-{number}", "namespace": "default"}
    spec = bot["spec"]
    spec["strategy"]["image"] = f"ghcr.io/example/arb-bot:1.{number}.0"
    spec["strategy"]["parameters"] = {"minProfitThreshold": f"0.0{number + 10}"}
    spec["riskManagement"] |= {
        "maxPositionSize": str(1000 + number),
        "stopLossPercentage": f"2.{number + 10}",
    }
    return bot
