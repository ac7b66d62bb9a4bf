"""Tags of an asset. All functions run inside a write."""

from tradingbot_registry.storage.engine import Database

_CARRIED = (
    "SELECT tag.name, tag.id FROM asset_tag JOIN tag ON tag.id = asset_tag.tag"
    " WHERE asset_tag.asset = ?"
)
_DROP_UNUSED = (
    "DELETE FROM tag WHERE id IN ??"
    " AND NOT EXISTS (SELECT 1 FROM asset_tag WHERE asset_tag.tag = tag.id)"
)


def replace(db: Database, seq: int, wanted: frozenset[str]) -> None:
    """Replace the asset's tags by `wanted`, and delete tags that no asset has any more."""
    old = dict(db.query(_CARRIED, seq))
    gone = [old[name] for name in old.keys() - wanted]
    if gone:
        db.query("DELETE FROM asset_tag WHERE asset = ? AND tag IN ??", seq, gone)
        db.query(_DROP_UNUSED, gone)
    for name in sorted(wanted - old.keys()):
        db.query("INSERT INTO tag (name) VALUES (?) ON CONFLICT DO NOTHING", name)
        db.query(
            "INSERT INTO asset_tag (asset, tag) SELECT ?, id FROM tag WHERE name = ?", seq, name
        )
