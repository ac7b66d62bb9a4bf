"""The schemas and their history: forward only, each step in a transaction of its own.

A released step never changes. It is SQL and not derived from `models`, because it must always do
what it did when it was written.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tradingbot_registry.errors import SchemaError
from tradingbot_registry.storage import derived
from tradingbot_registry.storage.database import write
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.postgresql import PostgresServer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: the version after it, and its statements."""

    version: int
    statements: tuple[str, ...]


INITIAL = Migration(
    1,
    (
        """CREATE TABLE asset (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            type TEXT NOT NULL,
            status TEXT NOT NULL,
            description TEXT NOT NULL,
            config TEXT NOT NULL,
            secret_ref TEXT,
            managed_by TEXT NOT NULL,
            external_ref TEXT UNIQUE,
            version INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL
        )""",
        "CREATE INDEX asset_status ON asset (status)",
        "CREATE INDEX asset_updated_at ON asset (updated_at)",
        "CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        """CREATE TABLE asset_tag (
            asset INTEGER NOT NULL REFERENCES asset (seq) ON DELETE CASCADE,
            tag INTEGER NOT NULL REFERENCES tag (id) ON DELETE RESTRICT,
            PRIMARY KEY (asset, tag)
        )""",
        "CREATE INDEX asset_tag_tag ON asset_tag (tag)",
        """CREATE TABLE dependency (
            src INTEGER NOT NULL REFERENCES asset (seq) ON DELETE CASCADE,
            dst INTEGER NOT NULL REFERENCES asset (seq) ON DELETE RESTRICT,
            PRIMARY KEY (src, dst)
        )""",
        "CREATE INDEX dependency_dst ON dependency (dst, src)",
        """CREATE TABLE pending_dependency (
            src INTEGER NOT NULL REFERENCES asset (seq) ON DELETE CASCADE,
            ref TEXT NOT NULL,
            PRIMARY KEY (src, ref)
        )""",
        "CREATE INDEX pending_dependency_ref ON pending_dependency (ref)",
    ),
)

# The former id of a deleted target: its dependents may name the target by it.
GONE_TARGETS = Migration(2, ("ALTER TABLE pending_dependency ADD COLUMN target_id TEXT",))

# Name and description, folded, for a search in every alphabet.
SEARCH_TEXT = Migration(
    3,
    (
        "ALTER TABLE asset ADD COLUMN search TEXT NOT NULL DEFAULT ''",
        "UPDATE asset SET search = search_text(name, description)",
    ),
)

HISTORY = Migration(
    4,
    (
        """CREATE TABLE change (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            asset_id TEXT NOT NULL,
            name TEXT NOT NULL,
            external_ref TEXT,
            version INTEGER NOT NULL,
            action TEXT NOT NULL,
            actor TEXT NOT NULL,
            request_id TEXT,
            at TEXT NOT NULL,
            before TEXT,
            after TEXT
        )""",
        "CREATE INDEX change_asset ON change (asset_id, seq)",
    ),
)

# Answers to requests with an idempotency key.
RECEIPTS = Migration(
    5,
    (
        """CREATE TABLE receipt (
            actor TEXT NOT NULL,
            key TEXT NOT NULL,
            digest TEXT NOT NULL,
            at TEXT NOT NULL,
            answer TEXT NOT NULL,
            PRIMARY KEY (actor, key)
        )""",
        "CREATE INDEX receipt_at ON receipt (at)",
    ),
)

# The places of pages in the order of names and types.
ORDERS = Migration(
    6,
    ("CREATE INDEX asset_name ON asset (name)", "CREATE INDEX asset_type ON asset (type)"),
)

# What a list is filtered by is a column, and its index has the order of a page.
_EFFECTIVE_STATUS = """UPDATE asset SET effective_status =
    CASE WHEN status <> 'Failed' AND seq IN (
        WITH RECURSIVE affected(seq) AS (
            SELECT d.src FROM dependency d JOIN asset cause ON cause.seq = d.dst
                WHERE cause.status IN ('Failed', 'Inactive')
            UNION SELECT d.src FROM affected JOIN dependency d ON d.dst = affected.seq
        ) SELECT seq FROM affected
    ) THEN 'Degraded' ELSE status END"""
_FILTERS = (
    "DROP INDEX asset_status",
    "DROP INDEX asset_type",
    "DROP INDEX asset_tag_tag",
    "CREATE INDEX asset_status ON asset (status, seq)",
    "CREATE INDEX asset_effective_status ON asset (effective_status, seq)",
    "CREATE INDEX asset_type ON asset (type, seq)",
    "CREATE INDEX asset_managed_by ON asset (managed_by, seq)",
    "CREATE INDEX asset_namespace ON asset (namespace, seq)",
    "CREATE INDEX asset_tag_tag ON asset_tag (tag, asset)",
)

FILTERS = Migration(
    7,
    (
        "ALTER TABLE asset ADD COLUMN effective_status TEXT NOT NULL DEFAULT ''",
        """ALTER TABLE asset ADD COLUMN namespace TEXT GENERATED ALWAYS AS (
            substr(external_ref, instr(external_ref, '/') + 1,
                instr(substr(external_ref, instr(external_ref, '/') + 1), '/') - 1)
        ) VIRTUAL""",
        _EFFECTIVE_STATUS,
        *_FILTERS,
    ),
)

# What bots report all the time.
REPORTS = Migration(
    8,
    (
        """CREATE TABLE report (
            asset INTEGER PRIMARY KEY REFERENCES asset (seq) ON DELETE CASCADE,
            day_pnl TEXT NOT NULL,
            at TEXT NOT NULL
        )""",
    ),
)

# An index of searches, and numbers of assets, for an inventory that is too large to be read.
DERIVED = Migration(9, derived.SQLITE)

MIGRATIONS: tuple[Migration, ...] = (
    INITIAL,
    GONE_TARGETS,
    SEARCH_TEXT,
    HISTORY,
    RECEIPTS,
    ORDERS,
    FILTERS,
    REPORTS,
    DERIVED,
)


# A text is compared by its characters, as in SQLite: the order of pages and the ranges of
# references must not depend on the language of the database.
POSTGRESQL_BEGINNING = Migration(
    6,
    (
        """CREATE TABLE asset (
            seq BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            id UUID NOT NULL UNIQUE,
            name TEXT COLLATE "C" NOT NULL,
            type TEXT COLLATE "C" NOT NULL,
            status TEXT COLLATE "C" NOT NULL,
            description TEXT COLLATE "C" NOT NULL,
            search TEXT COLLATE "C" NOT NULL DEFAULT '',
            config TEXT COLLATE "C" NOT NULL,
            secret_ref TEXT COLLATE "C",
            managed_by TEXT COLLATE "C" NOT NULL,
            external_ref TEXT COLLATE "C" UNIQUE,
            version INTEGER NOT NULL,
            created_at TEXT COLLATE "C" NOT NULL,
            updated_at TEXT COLLATE "C" NOT NULL
        )""",
        "CREATE INDEX asset_name ON asset (name)",
        "CREATE INDEX asset_type ON asset (type)",
        "CREATE INDEX asset_status ON asset (status)",
        "CREATE INDEX asset_updated_at ON asset (updated_at)",
        """CREATE TABLE tag (
            id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            name TEXT COLLATE "C" NOT NULL UNIQUE
        )""",
        """CREATE TABLE asset_tag (
            asset BIGINT NOT NULL REFERENCES asset (seq) ON DELETE CASCADE,
            tag BIGINT NOT NULL REFERENCES tag (id) ON DELETE RESTRICT,
            PRIMARY KEY (asset, tag)
        )""",
        "CREATE INDEX asset_tag_tag ON asset_tag (tag)",
        """CREATE TABLE dependency (
            src BIGINT NOT NULL REFERENCES asset (seq) ON DELETE CASCADE,
            dst BIGINT NOT NULL REFERENCES asset (seq) ON DELETE RESTRICT,
            PRIMARY KEY (src, dst)
        )""",
        "CREATE INDEX dependency_dst ON dependency (dst, src)",
        """CREATE TABLE pending_dependency (
            src BIGINT NOT NULL REFERENCES asset (seq) ON DELETE CASCADE,
            ref TEXT COLLATE "C" NOT NULL,
            target_id TEXT COLLATE "C",
            PRIMARY KEY (src, ref)
        )""",
        "CREATE INDEX pending_dependency_ref ON pending_dependency (ref)",
        """CREATE TABLE change (
            seq BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            asset_id UUID NOT NULL,
            name TEXT COLLATE "C" NOT NULL,
            external_ref TEXT COLLATE "C",
            version INTEGER NOT NULL,
            action TEXT COLLATE "C" NOT NULL,
            actor TEXT COLLATE "C" NOT NULL,
            request_id TEXT COLLATE "C",
            at TEXT COLLATE "C" NOT NULL,
            before TEXT COLLATE "C",
            after TEXT COLLATE "C"
        )""",
        "CREATE INDEX change_asset ON change (asset_id, seq)",
        """CREATE TABLE receipt (
            actor TEXT COLLATE "C" NOT NULL,
            key TEXT COLLATE "C" NOT NULL,
            digest TEXT COLLATE "C" NOT NULL,
            at TEXT COLLATE "C" NOT NULL,
            answer TEXT COLLATE "C" NOT NULL,
            PRIMARY KEY (actor, key)
        )""",
        "CREATE INDEX receipt_at ON receipt (at)",
    ),
)

# The registry knows PostgreSQL since version 6 of the schema. The numbers are the same.
POSTGRESQL_MIGRATIONS: tuple[Migration, ...] = (
    POSTGRESQL_BEGINNING,
    Migration(
        7,
        (
            """ALTER TABLE asset ADD COLUMN effective_status TEXT COLLATE "C"
                NOT NULL DEFAULT ''""",
            """ALTER TABLE asset ADD COLUMN namespace TEXT COLLATE "C"
                GENERATED ALWAYS AS (split_part(external_ref, '/', 2)) STORED""",
            _EFFECTIVE_STATUS,
            *_FILTERS,
        ),
    ),
    Migration(
        REPORTS.version,
        (
            """CREATE TABLE report (
                asset BIGINT PRIMARY KEY REFERENCES asset (seq) ON DELETE CASCADE,
                day_pnl TEXT COLLATE "C" NOT NULL,
                at TEXT COLLATE "C" NOT NULL
            )""",
        ),
    ),
    Migration(DERIVED.version, derived.POSTGRESQL),
)


def migrations_of(database: Database) -> tuple[Migration, ...]:
    """Return the steps for a database of that kind."""
    return POSTGRESQL_MIGRATIONS if isinstance(database, PostgresServer) else MIGRATIONS


def migrate(database: Database, migrations: Sequence[Migration] | None = None) -> int:
    """Migrate the schema to the latest version and return that.

    Raises SchemaError for a database of a newer version or of another program.
    """
    migrations = migrations or migrations_of(database)
    database.check()
    newest = migrations[-1].version
    found = write(database, lambda: schema_version(database))
    if found > newest:
        raise SchemaError(
            f"its schema has version {found} and this program knows only {newest};"
            " use the newer program again"
        )
    for migration in migrations:
        write(database, lambda step=migration: _apply(database, step))  # type: ignore[misc]
    if newest >= DERIVED.version:
        database.index_search()
    return newest


def schema_version(database: Database) -> int:
    """Return the version of the schema, 0 of an empty database.

    Raises SchemaError for a database of another program.
    """
    tables = set(database.get_tables())
    if not tables:
        return 0
    if "schema_version" not in tables:
        raise SchemaError(
            "it belongs to another program: it has tables, and none is schema_version"
        )
    return int(_execute(database, "SELECT version FROM schema_version").fetchone()[0])


def _apply(database: Database, step: Migration) -> None:
    # Read again inside the transaction: another process may have migrated meanwhile.
    found = schema_version(database)
    if found >= step.version:
        return
    if found == 0:
        _execute(database, "CREATE TABLE schema_version (version INTEGER NOT NULL)")
        _execute(database, "INSERT INTO schema_version (version) VALUES (0)")
    for statement in step.statements:
        _execute(database, statement)
    _execute(database, f"UPDATE schema_version SET version = {step.version:d}")  # noqa: S608
    log.info("schema migrated", extra={"from_version": found, "to_version": step.version})


def _execute(database: Database, statement: str) -> Any:
    return database.execute_sql(statement)  # type: ignore[no-untyped-call]
