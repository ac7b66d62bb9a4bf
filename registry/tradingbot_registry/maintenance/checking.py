"""Check a whole database, and report everything that is wrong at once.

Checked in one snapshot, so that what a running registry writes meanwhile is not mistaken for a
fault: the structure of the file, the version of the schema, links between rows, cycles, the bounds
of every row, and whether the history agrees with the assets.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import peewee
from pydantic import ValidationError

from tradingbot_registry.errors import DatabaseUnusableError, SchemaError
from tradingbot_registry.inventory import effective
from tradingbot_registry.maintenance import rows
from tradingbot_registry.maintenance.acyclic import find_cycle
from tradingbot_registry.maintenance.derived import check_numbers, check_search_index
from tradingbot_registry.maintenance.findings import Findings, Report, report_of
from tradingbot_registry.maintenance.records import (
    AssetLine,
    ChangeLine,
    ReportRow,
    config_faults,
    faults,
)
from tradingbot_registry.maintenance.sqlite_structure import INTEGRITY, check_structure
from tradingbot_registry.refusals import StorageError
from tradingbot_registry.storage.database import snapshot, storage_error
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.folding import search_text
from tradingbot_registry.storage.migrations import MIGRATIONS, schema_version
from tradingbot_registry.storage.reading import open_to_read

NEWEST = MIGRATIONS[-1].version
SEARCHABLE, WITH_HISTORY, WITH_RECEIPTS, WITH_EFFECTIVE_STATUS, WITH_REPORTS = 3, 4, 5, 7, 8
WITH_DERIVED = 9
"""The versions of the schema that brought these."""

TABLES = {"asset": 1, "dependency": 1, "pending_dependency": 1, "tag": 1, "change": 4}
"""Tables that are counted, and the version of the schema that brought them."""

SHOWN = 10
"""Assets of a cycle that are named."""


def check_file(path: Path) -> Report:
    """Check the SQLite database in that file, and the structure of the file.

    Raises DatabaseUnusableError if there is nothing to check.
    """
    with unreadable(str(path)):
        database = open_to_read(path)
        with database.connection_context():
            return check_database(database, check_structure)


def check_database(
    database: Database, structure: Callable[[Database, int, Findings], None] | None = None
) -> Report:
    """Check the database, which is connected. Raises DatabaseUnusableError.

    A newer version and the tables of another program are not checked: nothing is known of them.
    """
    version = schema_version(database)
    if version == 0:
        raise DatabaseUnusableError(f"database {database.place}: is empty; it has no tables")
    if version > NEWEST:
        raise DatabaseUnusableError(
            f"database {database.place}: its schema has version {version} and this program knows"
            f" only {NEWEST}; check it with the newer program"
        )
    found, report = Findings(), None
    try:
        with snapshot(database) as db:
            if structure is not None:
                with _damage(db, found, "structure"):
                    structure(db, version, found)
            report = check_content(db, version, found)
    except peewee.DatabaseError:
        # The end of a transaction that has read a damaged page: that is reported.
        if report is None:
            raise
    return report


def check_content(db: Database, version: int, found: Findings) -> Report:
    """Check everything but the structure. To be called in a snapshot or a write."""
    if version < NEWEST:
        found.add(
            "version",
            f"the schema has version {version}; the next start of the registry, or"
            f" `tradingbot registry migrate`, brings it to {NEWEST}",
            fault=False,
        )
    checks: list[tuple[str, int, Callable[[Database, int, Findings], None]]] = [
        ("asset", 1, _check_assets),
        ("dependency", 1, _check_edges),
        ("effective status", WITH_EFFECTIVE_STATUS, _check_effective_status),
        ("tag", 1, _check_tags),
        ("number", WITH_DERIVED, check_numbers),
        ("search", WITH_DERIVED, check_search_index),
        ("change", WITH_HISTORY, _check_changes),
        ("history", WITH_HISTORY, _check_history),
        ("receipt", WITH_RECEIPTS, _check_receipts),
        ("report", WITH_REPORTS, _check_reports),
    ]
    for name, since, check in checks:
        if version >= since:
            with _damage(db, found, name):
                check(db, version, found)
    counts: dict[str, int] = {}
    with _damage(db, found, "tables"):
        for table, since in TABLES.items():
            if version >= since:
                counts[table] = rows.number(db, f"SELECT count(*) FROM {table}")  # noqa: S608
    return report_of(version, counts, found)


@contextmanager
def unreadable(place: str) -> Iterator[None]:
    """Raise DatabaseUnusableError if it can't be opened or read, or is not the registry's."""
    try:
        yield
    except (peewee.PeeweeException, sqlite3.Error, StorageError, SchemaError) as error:
        known = error if isinstance(error, StorageError) else storage_error(error)
        reason = (known.cause or known.reason) if known else " ".join(str(error).split())
        raise DatabaseUnusableError(f"database {place}: {reason}") from error


@contextmanager
def _damage(db: Database, found: Findings, what: str) -> Iterator[None]:
    """Make a finding of a failed read, and let the other checks run."""
    try:
        # A savepoint: in PostgreSQL, nothing can be read after a failure until one is undone.
        with db.atomic():
            yield
    except (peewee.PeeweeException, sqlite3.Error, UnicodeDecodeError) as error:
        known = storage_error(error)
        reason = (known.cause or known.reason) if known else str(error)
        found.add(INTEGRITY, f"{what} can't be read to its end: {reason}")


def _check_assets(db: Database, version: int, found: Findings) -> None:
    for _, fields in rows.assets(db):
        name = f"asset {fields['id']}"
        try:
            asset = AssetLine.model_validate(fields)
        except ValidationError as error:
            for fault in faults(error):
                found.add("bounds", f"{name}: {fault}")
            continue
        wrong, credentials = config_faults(asset)
        for fault in wrong:
            found.add("bounds", f"{name}: {fault}")
        for fault in credentials:  # An older rule may have taken it for harmless.
            found.add("credentials", f"{name}: {fault}", fault=False)
        if asset.updated_at < asset.created_at:
            # The clock of the machine may have been set back.
            found.add("bounds", f"{name}: it was changed before it was created", fault=False)
    if version >= SEARCHABLE:
        _check_search(db, found)


def _check_search(db: Database, found: Findings) -> None:
    for piece in rows.pieces(db, "id, name, description, search", "asset"):
        for _, asset_id, name, description, search in piece:
            if not isinstance(name, str) or not isinstance(description, str):
                continue  # A fault of its own.
            if search != search_text(name, description):
                found.add(
                    "search",
                    f"asset {rows.uuid_of(asset_id)} is not found by its name: its text is stale",
                )


def _check_edges(db: Database, version: int, found: Findings) -> None:  # noqa: ARG001
    nodes = (row[0] for piece in rows.pieces(db, "id", "asset") for row in piece)
    cycle = find_cycle(nodes, rows.edges(db))
    if cycle:
        more = f" and {len(cycle) - SHOWN} more" if len(cycle) > SHOWN else ""
        names = [_name(db, seq) for seq in cycle[:SHOWN]]
        found.add("cycles", f"{' -> '.join([*names, names[0]])}{more} is a cycle")
    for asset_id, ref in rows.query(
        db,
        "SELECT s.id, p.ref FROM pending_dependency p JOIN asset s ON s.seq = p.src"
        " JOIN asset t ON t.external_ref = p.ref",
    ):
        found.add("links", f"asset {rows.uuid_of(asset_id)} waits for {ref}, which exists")


def _check_effective_status(db: Database, version: int, found: Findings) -> None:  # noqa: ARG001
    for asset_id, stored, right in effective.wrong(db):
        found.add(
            "effective-status",
            f"asset {rows.uuid_of(asset_id)} is {right} and stored as {stored}: an export and its"
            " import into a new database compute it",
        )


def _name(db: Database, seq: int) -> str:
    ((asset_id, ref, name),) = rows.query(
        db,
        f"SELECT id, external_ref, name FROM asset WHERE seq = {seq:d}",  # noqa: S608
    )
    return str(ref or f"{name} ({rows.uuid_of(asset_id)})")


def _check_tags(db: Database, version: int, found: Findings) -> None:  # noqa: ARG001
    unused = "SELECT name FROM tag WHERE id NOT IN (SELECT tag FROM asset_tag)"
    for (name,) in rows.query(db, unused):
        found.add("links", f"tag {name} is of no asset")


def _check_changes(db: Database, version: int, found: Findings) -> None:  # noqa: ARG001
    for fields in rows.changes(db):
        try:
            ChangeLine.model_validate(fields)
        except ValidationError as error:
            for fault in faults(error):
                found.add("bounds", f"change {fields['number']}: {fault}")


_LATEST = "(SELECT max(seq) FROM change WHERE change.asset_id = {})"


def _check_history(db: Database, version: int, found: Findings) -> None:  # noqa: ARG001
    """Compare each asset with its newest entry. The history may begin later than the asset."""
    differ = (
        "SELECT a.id, a.version, c.version, c.action FROM asset a JOIN change c"  # noqa: S608
        f" ON c.seq = {_LATEST.format('a.id')}"
        " WHERE c.version <> a.version OR c.action = 'deleted'"
    )
    for asset_id, has, entry, action in rows.query(db, differ):
        what = "its deletion" if action == "deleted" else f"version {entry}"
        found.add(
            "history", f"{rows.uuid_of(asset_id)} has version {has}; its last entry is of {what}"
        )
    gone = (
        "SELECT c.asset_id FROM change c"  # noqa: S608
        f" WHERE c.action <> 'deleted' AND c.seq = {_LATEST.format('c.asset_id')}"
        " AND NOT EXISTS (SELECT 1 FROM asset WHERE asset.id = c.asset_id)"
    )
    for (asset_id,) in rows.query(db, gone):
        found.add(
            "history", f"{rows.uuid_of(asset_id)} does not exist, and no entry is of its deletion"
        )


def _check_receipts(db: Database, version: int, found: Findings) -> None:  # noqa: ARG001
    try:
        for _ in rows.receipts(db):
            pass
    except ValidationError as error:
        for fault in faults(error):
            found.add("bounds", f"receipt: {fault}")


def _check_reports(db: Database, version: int, found: Findings) -> None:  # noqa: ARG001
    # A report of no asset is a fault of the structure in SQLite; PostgreSQL lets none be stored.
    for asset_id, fields in rows.reports(db):
        try:
            ReportRow.model_validate(fields)
        except ValidationError as error:
            for fault in faults(error):
                found.add("bounds", f"report of {asset_id}: {fault}")
