"""Write the whole registry as lines of JSON, for another kind of database or another program."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

from pydantic import ValidationError

from tradingbot_registry.errors import MaintenanceError
from tradingbot_registry.maintenance import rows
from tradingbot_registry.maintenance.records import (
    AssetLine,
    ChangeLine,
    EndLine,
    HeaderLine,
    Kind,
    Line,
    faults,
)
from tradingbot_registry.storage.database import snapshot
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.migrations import MIGRATIONS, schema_version


def export(
    database: Database, stream: BinaryIO, *, program_version: str, now: datetime
) -> Counter[str]:
    """Write the database, as it is at one moment, and return the number of lines of each kind.

    The memory that this takes does not depend on the size of the database. Raises MaintenanceError
    for a schema that is not the newest, and for a row that no import would take.
    """
    digest = hashlib.sha256()
    counts: Counter[str] = Counter()

    def put(line: Line) -> None:
        text = line.text().encode()
        digest.update(text)
        stream.write(text)

    put(HeaderLine(program_version=program_version, exported_at=now))
    with snapshot(database) as db:
        _check_version(db)
        for kind, line in _lines(db):
            put(line)
            counts[kind] += 1
    stream.write(EndLine(counts=counts, sha256=digest.hexdigest()).text().encode())
    return counts


def _check_version(db: Database) -> None:
    found, newest = schema_version(db), MIGRATIONS[-1].version
    if found != newest:
        raise MaintenanceError(
            f"the schema of the database has version {found}, and this program exports {newest}:"
            " make a backup, then run `tradingbot registry migrate`"
        )


def _lines(db: Database) -> Iterator[tuple[Kind, Line]]:
    try:
        for _, fields in rows.assets(db):
            yield Kind.ASSET, AssetLine.model_validate(fields)
        for dependency in rows.dependencies(db):
            yield Kind.DEPENDENCY, dependency
        for pending in rows.pending(db):
            yield Kind.PENDING, pending
        for fields in rows.changes(db):
            yield Kind.CHANGE, ChangeLine.model_validate(fields)
        for receipt in rows.receipts(db):
            yield Kind.RECEIPT, receipt
    except ValidationError as error:
        raise MaintenanceError(
            f"a row of kind {error.title} is not valid: {faults(error)[0]}; see all faults with"
            " `tradingbot registry check`"
        ) from error
