"""Tags of an asset. All functions run inside a write."""

from collections.abc import Collection

from tradingbot_registry.storage.engine import Database, places

_CARRIED = (
    "SELECT tag.name, tag.id FROM asset_tag JOIN tag ON tag.id = asset_tag.tag"
    " WHERE asset_tag.asset = ?"
)
_DROP_UNUSED = (
    "DELETE FROM tag WHERE id IN ??"
    " AND NOT EXISTS (SELECT 1 FROM asset_tag WHERE asset_tag.tag = tag.id)"
)


def add(db: Database, seq: int, names: Collection[str]) -> None:
    """Give the asset tags that it does not have."""
    if not names:
        return
    listed, among = sorted(names), f"IN ({places(names)})"
    values = ", ".join(["(?)"] * len(names))
    db.query(f"INSERT INTO tag (name) VALUES {values} ON CONFLICT DO NOTHING", *listed)  # noqa: S608
    db.query(
        f"INSERT INTO asset_tag (asset, tag) SELECT ?, id FROM tag WHERE name {among}",  # noqa: S608
        seq,
        *listed,
    )


def replace(db: Database, seq: int, wanted: frozenset[str]) -> None:
    """Replace the asset's tags by `wanted`, and delete tags that no asset has any more."""
    old = dict(db.query(_CARRIED, seq))
    gone = [old[name] for name in old.keys() - wanted]
    if gone:
        db.query("DELETE FROM asset_tag WHERE asset = ? AND tag IN ??", seq, gone)
        db.query(_DROP_UNUSED, gone)
    add(db, seq, wanted - old.keys())
