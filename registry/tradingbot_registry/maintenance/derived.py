"""Check what the database derives from its rows: numbers of assets, and the index of searches."""

from collections import Counter

from tradingbot_registry.inventory.numbers import COLUMNS
from tradingbot_registry.maintenance import rows
from tradingbot_registry.maintenance.findings import Findings
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.folding import parts

REPAIR = "an export and its import into a new database repair it"


def check_numbers(db: Database, version: int, found: Findings) -> None:  # noqa: ARG001
    """Compare the kept numbers of assets with the assets."""
    columns = ", ".join(COLUMNS)
    right = _numbers(db, f"SELECT {columns}, COUNT(*) FROM asset GROUP BY {columns}")  # noqa: S608
    kept = _numbers(db, f"SELECT {columns}, number FROM asset_tally WHERE number <> 0")  # noqa: S608
    for values in sorted(right.keys() | kept.keys()):
        if right[values] != kept[values]:
            what = ", ".join(f"{name} {value}" for name, value in zip(COLUMNS, values, strict=True))
            found.add(
                "numbers", f"{right[values]} assets of {what} count as {kept[values]}: {REPAIR}"
            )
    for name, number, counted in rows.query(
        db,
        "SELECT name, number, counted FROM (SELECT name, number,"
        " (SELECT COUNT(*) FROM asset_tag WHERE tag = id) AS counted FROM tag) AS each"
        " WHERE number <> counted ORDER BY name",
    ):
        found.add("numbers", f"{counted} assets with tag {name} count as {number}: {REPAIR}")


def check_search_index(db: Database, version: int, found: Findings) -> None:  # noqa: ARG001
    """Compare the index of searches with the texts: of each part, in how many texts it is."""
    if not db.searches_by_index():
        found.add(
            "search",
            "there is no index, so a search reads all assets: the next start of the registry makes"
            " one if the extension pg_trgm is there or can be created",
            fault=False,
        )
    if db.shared:
        return  # The server's own index.
    expected: Counter[str] = Counter()
    for piece in rows.pieces(db, "search", "asset"):
        for _, text in piece:
            if isinstance(text, str):
                expected.update(parts(text))
    indexed: Counter[str] = Counter(dict(rows.query(db, "SELECT term, doc FROM asset_search_part")))
    wrong = sorted(
        part for part in expected.keys() | indexed.keys() if expected[part] != indexed[part]
    )
    if wrong:
        found.add(
            "search",
            f"the index of searches is wrong in {len(wrong)} of its parts, such as {wrong[0]!r}:"
            f" {REPAIR}",
        )


def _numbers(db: Database, statement: str) -> Counter[tuple[str, ...]]:
    return Counter(
        {tuple(map(str, values)): int(number) for *values, number in rows.query(db, statement)}
    )
