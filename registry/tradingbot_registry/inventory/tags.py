"""Tags of an asset. All functions run inside a write."""

from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import AssetTag, Tag, rows


def replace(db: Database, seq: int, wanted: frozenset[str]) -> None:
    """Replace the asset's tags by `wanted`, and delete tags that no asset has any more."""
    carried = AssetTag.select(AssetTag.tag).where(AssetTag.asset == seq)
    old = dict(rows(db, Tag.select(Tag.name, Tag.id).where(Tag.id.in_(carried))))
    gone = [old[name] for name in old.keys() - wanted]
    if gone:
        AssetTag.delete().where((AssetTag.asset == seq) & AssetTag.tag.in_(gone)).execute(db)
        in_use = AssetTag.select(AssetTag.tag)
        Tag.delete().where(Tag.id.in_(gone) & Tag.id.not_in(in_use)).execute(db)
    new = sorted(wanted - old.keys())
    if new:
        Tag.insert_many([{"name": name} for name in new]).on_conflict_ignore().execute(db)
        named = rows(db, Tag.select(Tag.id).where(Tag.name.in_(new)))
        AssetTag.insert_many([{"asset": seq, "tag": tag} for (tag,) in named]).execute(db)
