"""Read the tables in bounded pieces, as values that do not depend on the kind of database.

Plain SQL, so that a row with a value that the models can't read is a row with a fault, and not the
end of a check. To be called in one snapshot.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from tradingbot_registry.maintenance.records import (
    AssetLine,
    ChangeLine,
    DependencyLine,
    PendingLine,
    ReceiptLine,
)
from tradingbot_registry.rfc3339 import text_of
from tradingbot_registry.storage.engine import Database

PIECE = 1000
"""Rows of one query."""

Row = tuple[Any, ...]

ASSET_COLUMNS = (
    "id, name, type, status, description, config, secret_ref, managed_by, external_ref, version,"
    " created_at, updated_at"
)


def query(db: Database, statement: str) -> list[Row]:
    """Return the rows of a statement without values."""
    # The driver takes a percent sign for a value's place, and there is none in these statements.
    found: list[Row] = db.execute_sql(statement).fetchall()  # type: ignore[no-untyped-call]
    return found


def number(db: Database, statement: str) -> int:
    """Return the one number that a statement selects."""
    return int(query(db, statement)[0][0])


def pieces(db: Database, columns: str, table: str) -> Iterator[list[Row]]:
    """Yield rows in the order of their `seq`, which is their first value."""
    last = 0
    while True:
        found = query(
            db,
            f"SELECT seq, {columns} FROM {table} WHERE seq > {last:d}"  # noqa: S608
            f" ORDER BY seq LIMIT {PIECE:d}",
        )
        if found:
            yield found
        if len(found) < PIECE:
            return
        last = found[-1][0]


def edges(db: Database) -> Iterator[tuple[int, int]]:
    """Yield `src` and `dst` of each dependency, in that order."""
    src = dst = 0
    while True:
        found = query(
            db,
            f"SELECT src, dst FROM dependency WHERE (src, dst) > ({src:d}, {dst:d})"  # noqa: S608
            f" ORDER BY src, dst LIMIT {PIECE:d}",
        )
        yield from ((row[0], row[1]) for row in found)
        if len(found) < PIECE:
            return
        src, dst = found[-1]


def assets(db: Database) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield `seq` and the fields of each asset as an AssetLine has them, unchecked."""
    for rows in pieces(db, ASSET_COLUMNS, "asset"):
        tags = _tags(db, rows[0][0], rows[-1][0])
        for seq, *values in rows:
            fields = dict(zip(_names(AssetLine, skip={"kind", "tags"}), values, strict=True))
            yield (
                seq,
                {
                    **fields,
                    "id": uuid_of(fields["id"]),
                    "tags": tags.get(seq, []),
                    "config": _json(fields["config"]),
                    "secretRef": _json(fields["secretRef"]),
                    "createdAt": _time(fields["createdAt"]),
                    "updatedAt": _time(fields["updatedAt"]),
                },
            )


def _tags(db: Database, first: int, last: int) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for seq, name in query(
        db,
        "SELECT asset_tag.asset, tag.name FROM asset_tag JOIN tag ON tag.id = asset_tag.tag"  # noqa: S608
        f" WHERE asset_tag.asset BETWEEN {first:d} AND {last:d} ORDER BY asset_tag.asset, tag.name",
    ):
        found.setdefault(seq, []).append(name)
    return found


def dependencies(db: Database) -> Iterator[DependencyLine]:
    """Yield the dependencies, by ids."""
    src = dst = 0
    while True:
        found = query(
            db,
            "SELECT d.src, d.dst, s.id, t.id FROM dependency d JOIN asset s ON s.seq = d.src"  # noqa: S608
            f" JOIN asset t ON t.seq = d.dst WHERE (d.src, d.dst) > ({src:d}, {dst:d})"
            f" ORDER BY d.src, d.dst LIMIT {PIECE:d}",
        )
        for _, _, source, target in found:
            yield DependencyLine(source=uuid_of(source), target=uuid_of(target))
        if len(found) < PIECE:
            return
        src, dst = found[-1][:2]


def pending(db: Database) -> Iterator[PendingLine]:
    """Yield the dependencies that wait for an asset."""
    for rows in pieces(db, "id", "asset"):
        for source, reference, target in query(
            db,
            "SELECT a.id, p.ref, p.target_id FROM pending_dependency p"  # noqa: S608
            " JOIN asset a ON a.seq = p.src"
            f" WHERE p.src BETWEEN {rows[0][0]:d} AND {rows[-1][0]:d} ORDER BY p.src, p.ref",
        ):
            yield PendingLine(
                source=uuid_of(source),
                reference=reference,
                target=None if target is None else uuid_of(target),
            )


def changes(db: Database) -> Iterator[Mapping[str, Any]]:
    """Yield the fields of each change as a ChangeLine has them, unchecked."""
    columns = "asset_id, name, external_ref, version, action, actor, request_id, at, before, after"
    for rows in pieces(db, columns, "change"):
        for row in rows:
            fields = dict(zip(_names(ChangeLine, skip={"kind"}), row, strict=True))
            yield {
                **fields,
                "assetId": uuid_of(fields["assetId"]),
                "at": _time(fields["at"]),
                "before": _json(fields["before"]),
                "after": _json(fields["after"]),
            }


def receipts(db: Database) -> Iterator[ReceiptLine]:
    """Yield the answers that are kept. Of a day, so they are few."""
    for actor, key in query(db, "SELECT actor, key FROM receipt ORDER BY actor, key"):
        found: list[Row] = db.execute_sql(  # type: ignore[no-untyped-call]
            f"SELECT digest, at, answer FROM receipt WHERE actor = {db.param}"  # noqa: S608
            f" AND key = {db.param}",
            (actor, key),
        ).fetchall()
        for digest, at, answer in found:
            yield ReceiptLine(
                actor=actor, key=key, digest=digest, at=_time(at), answer=_json(answer)
            )


def reports(db: Database) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Yield the id of each asset with a report, and the fields of a ReportRow, unchecked."""
    for rows in pieces(db, "id, day_pnl, at", "report JOIN asset ON asset.seq = report.asset"):
        for _, asset_id, day_pnl, at in rows:
            yield uuid_of(asset_id), {"dayPnL": day_pnl, "at": at}


def _names(model: Any, *, skip: set[str]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items() if name not in skip]


def uuid_of(value: Any) -> Any:
    """Return the id as a UUID; another value as it is."""
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except ValueError:
        return value


def _json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _time(value: Any) -> Any:
    return text_of(value) if isinstance(value, datetime) else value
