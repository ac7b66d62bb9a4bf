"""docs/examples/bot.py with one simulated position, whose price goes up and down at random.

The image `tradingbot-example-bot` of the local pods runs this. It shows the operator something to
see, and trades nothing.
"""

import importlib.util
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "bot.py"
SYMBOL, SIZE = "BTC-USDT", Decimal(950)
STEP_CENTS = 100
"""The most that the position gains or loses in a second."""


def main() -> None:
    """Run the bot until SIGTERM."""
    spec = importlib.util.spec_from_file_location("example_bot", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)

    class WalkingBook(example.Book):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.positions: dict[str, Decimal] = {}
            self.profit = Decimal(0)

        def unrealized(self) -> Decimal:
            return self.profit

        def trade(self, risk: dict[str, Any], *, entries: bool) -> None:
            if entries and not self.positions:
                self.positions = {SYMBOL: min(SIZE, Decimal(risk["maxPositionSize"]))}
            self.profit += Decimal(random.randint(-STEP_CENTS, STEP_CENTS)) / 100
            print(f"{SYMBOL}: profit {self.profit}", flush=True)

    example.Book = WalkingBook
    example.main()


if __name__ == "__main__":
    main()
