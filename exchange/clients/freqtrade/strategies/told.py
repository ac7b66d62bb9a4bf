"""A strategy that does what a file says, so that a test decides when it trades."""

import os
from pathlib import Path
from typing import ClassVar

from freqtrade.strategy import IStrategy
from pandas import DataFrame


class Told(IStrategy):
    """Enters while the file says `enter`, exits while it says `exit`, and has a stop at -5 %."""

    timeframe = "1m"
    process_only_new_candles = False  # asks the file in each loop, not once a minute
    startup_candle_count = 5
    minimal_roi: ClassVar = {"0": 10}
    stoploss = -0.05
    order_types: ClassVar = {
        "entry": "limit",
        "exit": "limit",
        "stoploss": "limit",
        "stoploss_on_exchange": True,
        "stoploss_on_exchange_interval": 2,
        "stoploss_on_exchange_limit_ratio": 0.98,
    }

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[:, "enter_long"] = int(told() == "enter")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[:, "exit_long"] = int(told() == "exit")
        return dataframe


def told() -> str:
    return Path(os.environ["TOLD_FILE"]).read_text().strip()
