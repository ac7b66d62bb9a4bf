"""Read the lines of an export into an empty database: all of them, or nothing.

One transaction, which ends with the check of everything that was read. So an import that fails or
is killed leaves the database empty, and is repeated from the beginning.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, BinaryIO

import peewee
from pydantic import ValidationError

from tradingbot_registry.errors import MaintenanceError
from tradingbot_registry.inventory.effective import settle_everything
from tradingbot_registry.inventory.graph import batched
from tradingbot_registry.maintenance.checking import NEWEST, check_content
from tradingbot_registry.maintenance.findings import Findings, Report
from tradingbot_registry.maintenance.records import (
    FORMAT_VERSION,
    AssetLine,
    ChangeLine,
    DependencyLine,
    EndLine,
    HeaderLine,
    Kind,
    Line,
    PendingLine,
    ReceiptLine,
    config_faults,
    faults,
    parsed,
)
from tradingbot_registry.storage.database import write
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.folding import search_text
from tradingbot_registry.storage.models import (
    Asset,
    AssetTag,
    Change,
    Dependency,
    PendingDependency,
    Receipt,
    Tag,
    insert_rows,
    rows,
)

MAX_LINE = 64 * 1024 * 1024
"""Bytes. The longest line is the answer to a batch of 500 assets with 1,000 dependencies each."""

PIECE = 500
"""Lines that are written together."""

ORDER = {kind: place for place, kind in enumerate(Kind)}


class LineError(Exception):
    """A line is not valid."""


def read_export(database: Database, stream: BinaryIO) -> Report:
    """Import everything into a migrated database without assets, and return its check.

    The memory that reading takes does not depend on the size of the file; the check at the end
    needs about 20 bytes for each asset and dependency. Raises MaintenanceError.
    """
    done = False

    def unit() -> Report:
        nonlocal done
        if done:
            raise MaintenanceError("the database was busy: repeat the import")
        _check_empty(database)
        done = True  # The stream can't be read twice.
        reader = _Reader(stream)
        for kind, lines in groupby(reader.lines(), key=lambda line: line.kind):
            for piece in _pieces(lines):
                try:
                    _WRITERS[kind](database, piece)
                except (LineError, peewee.IntegrityError) as error:
                    raise MaintenanceError(
                        f"lines {reader.number - len(piece)} to {reader.number}: {_why(error)};"
                        " nothing was imported"
                    ) from error
        database.continue_numbers()
        settle_everything(database)
        report = check_content(database, NEWEST, Findings())
        if report.faults:
            raise MaintenanceError(
                f"the lines contradict one another, and nothing was imported: {report.lines()[0]}"
            )
        return report

    return write(database, unit)


def _check_empty(db: Database) -> None:
    for model in (Asset, Change, Receipt):
        if model.select().limit(1).exists(db):
            raise MaintenanceError(
                "the database is not empty, and an import does not merge: name another one"
            )


class _Reader:
    """Reads lines in their order and checks the frame around them."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._counts: Counter[str] = Counter()
        self.number = 0

    def lines(self) -> Iterator[Any]:
        """Yield all lines between the first and the last. Raises MaintenanceError."""
        header, text = self._next()
        if not isinstance(header, HeaderLine):
            raise self._wrong("is not the header of an export of the registry")
        if header.format_version != FORMAT_VERSION:
            raise self._wrong(
                f"the format has version {header.format_version}, and this program reads"
                f" {FORMAT_VERSION}: import it with the program that wrote it, or a newer one"
            )
        before = Kind.HEADER
        while True:
            self._digest.update(text)
            line, text = self._next()
            if isinstance(line, EndLine):
                break
            if ORDER[line.kind] < max(ORDER[before], 1):
                raise self._wrong(f"a line of kind {line.kind} must be before one of kind {before}")
            before = line.kind
            self._counts[line.kind] += 1
            yield line
        self._check_end(line)

    def _next(self) -> tuple[Any, bytes]:
        self.number += 1
        text = self._stream.readline(MAX_LINE)
        if not text.endswith(b"\n"):
            reason = "is too long" if len(text) == MAX_LINE else "is cut: the file is not complete"
            raise self._wrong(reason)
        try:
            line = parsed(text)
        except ValidationError as error:
            raise self._wrong("; ".join(faults(error))) from error
        except (ValueError, RecursionError) as error:
            raise self._wrong("is not JSON") from error
        if isinstance(line, AssetLine):
            wrong, _ = config_faults(line)
            if wrong:
                raise self._wrong("; ".join(wrong))
        return line, text

    def _check_end(self, end: EndLine) -> None:
        if end.counts != dict(self._counts):
            raise self._wrong(f"{dict(self._counts)} lines were read, and {end.counts} written")
        if end.sha256 != self._digest.hexdigest():
            raise self._wrong("the digest is another one: the file was changed")
        if self._stream.read(1):
            self.number += 1
            raise self._wrong("is behind the end")

    def _wrong(self, reason: str) -> MaintenanceError:
        return MaintenanceError(f"line {self.number}: {reason}; nothing was imported")


def _why(error: Exception) -> str:
    text = str(error)
    return f"the database refuses it ({text})" if isinstance(error, peewee.IntegrityError) else text


def _pieces(lines: Iterable[Any]) -> Iterator[list[Any]]:
    piece: list[Any] = []
    for line in lines:
        piece.append(line)
        if len(piece) == PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def _put_assets(db: Database, lines: Sequence[AssetLine]) -> None:
    insert_rows(
        db,
        Asset,
        [
            {
                **_columns(line, but={"tags"}),
                "secret_ref": line.secret_ref and line.secret_ref.model_dump(),
                "search": search_text(line.name, line.description),
                "effective_status": line.status,
            }
            for line in lines
        ],
    )
    seqs = _seqs(db, {line.id for line in lines})
    names = sorted({tag for line in lines for tag in line.tags})
    for part in batched(names):
        Tag.insert_many([{"name": name} for name in part]).on_conflict_ignore().execute(db)
    tags = {
        name: tag
        for part in batched(names)
        for name, tag in rows(db, Tag.select(Tag.name, Tag.id).where(Tag.name.in_(part)))
    }
    insert_rows(
        db,
        AssetTag,
        [
            {"asset": seqs[line.id], "tag": tags[name]}
            for line in lines
            for name in sorted(line.tags)
        ],
    )


def _put_dependencies(db: Database, lines: Sequence[DependencyLine]) -> None:
    seqs = _seqs(db, {end for line in lines for end in (line.source, line.target)})
    insert_rows(
        db,
        Dependency,
        [{"src": seqs[line.source], "dst": seqs[line.target]} for line in lines],
    )


def _put_pending(db: Database, lines: Sequence[PendingLine]) -> None:
    seqs = _seqs(db, {line.source for line in lines})
    insert_rows(
        db,
        PendingDependency,
        [
            {
                "src": seqs[line.source],
                "ref": line.reference,
                "target_id": line.target and str(line.target),
            }
            for line in lines
        ],
    )


def _put_changes(db: Database, lines: Sequence[ChangeLine]) -> None:
    insert_rows(
        db,
        Change,
        [{"seq": line.number, **_columns(line, but={"number"})} for line in lines],
    )


def _put_receipts(db: Database, lines: Sequence[ReceiptLine]) -> None:
    insert_rows(db, Receipt, [_columns(line) for line in lines])


_WRITERS: dict[str, Any] = {
    Kind.ASSET: _put_assets,
    Kind.DEPENDENCY: _put_dependencies,
    Kind.PENDING: _put_pending,
    Kind.CHANGE: _put_changes,
    Kind.RECEIPT: _put_receipts,
}


def _columns(line: Line, *, but: Collection[str] = ()) -> dict[str, Any]:
    return {name: value for name, value in line if name != "kind" and name not in but}


def _seqs(db: Database, ids: set[Any]) -> dict[Any, int]:
    """Return the `seq` of the assets. Raises LineError if one does not exist."""
    found = {
        asset_id: seq
        for part in batched(sorted(ids))
        for asset_id, seq in rows(db, Asset.select(Asset.id, Asset.seq).where(Asset.id.in_(part)))
    }
    missing = ids - found.keys()
    if missing:
        raise LineError(f"no asset before it has the id {min(missing)}")
    return found
