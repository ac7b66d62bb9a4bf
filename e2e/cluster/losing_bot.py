"""The example bot, with a book that has lost `parameters.loss` as long as it is before `until`."""

from datetime import UTC, datetime
from decimal import Decimal

import bot


class LosingBook(bot.Book):
    """Flat, but for the loss that the strategy's parameters ask for."""

    def unrealized(self) -> Decimal:
        asked = bot.read_config()["strategy"].get("parameters", {})
        if "loss" not in asked or datetime.now(UTC) >= datetime.fromisoformat(asked["until"]):
            return Decimal(0)
        return -Decimal(asked["loss"])


if __name__ == "__main__":
    bot.Book = LosingBook
    bot.main()
