"""The table of docs/exchange-clients.md has what the other tests of this directory expect."""

from pathlib import Path

from cases import CASES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "exchange-clients.md"


def test_the_page_lists_what_ccxt_raises_for_each_fault() -> None:
    def shown(raised: type[BaseException] | None) -> str:
        return "nothing" if raised is None else f"`{raised.__name__}`"

    rows = [
        f"| {case.name} | {shown(case.binance)} | {shown(case.coinbase)} | {case.orders} |"
        for case in CASES
    ]
    heading = "| fault | Binance | Coinbase | orders at the exchange |\n|---|---|---|---|\n"
    table = PAGE.read_text().partition(heading)[2].partition("\n\n")[0]
    assert table.splitlines() == rows
