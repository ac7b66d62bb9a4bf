"""What a database derives from its rows by itself: triggers keep it, so every writer does.

- `asset_tally` has the number of assets for each type, status, effective status and manager, and
  `tag.number` that of the assets with a tag. Totals and facets are sums of few rows.
- The indexes of orders have these columns too, so that a page in that order is found without
  reading assets that don't match.
- `asset_search` is SQLite's index of `asset.search`: of each part of three characters, the assets
  and the places where it is, so that a text is found as a row of parts, without reading an asset.
  It has no text of its own. PostgreSQL's index is not a part of the schema, see
  `PostgresServer.index_search`.

These are statements of version 9 of the schema, which don't change.
"""

_COLUMNS = "type, status, effective_status, managed_by"


def _row(row: str) -> str:
    return ", ".join(f"{row}.{column}" for column in _COLUMNS.split(", "))


_ORDERS = tuple(
    statement
    for order in ("name", "updated_at")
    for statement in (
        f"DROP INDEX asset_{order}",
        f"CREATE INDEX asset_{order} ON asset ({order}, seq, {_COLUMNS})",
    )
)

_MORE = (
    f"INSERT INTO asset_tally VALUES ({_row('new')}, 1)"  # noqa: S608
    f" ON CONFLICT ({_COLUMNS}) DO UPDATE SET number = number + 1"
)
_LESS = f"UPDATE asset_tally SET number = number - 1 WHERE ({_COLUMNS}) = ({_row('old')})"  # noqa: S608
_FIND = "INSERT INTO asset_search (rowid, search) VALUES (new.seq, new.search)"
_LOSE = (
    "INSERT INTO asset_search (asset_search, rowid, search) VALUES ('delete', old.seq, old.search)"
)

_COUNTED = f"WHEN ({_row('old')}) <> ({_row('new')})"
_RENAMED = "WHEN old.search <> new.search"
_TAG = "UPDATE tag SET number = number {} 1 WHERE id = {}.tag"
_INDEX = (
    "CREATE VIRTUAL TABLE asset_search USING fts5 (search, content = 'asset',"
    " content_rowid = 'seq', tokenize = 'trigram case_sensitive 1', columnsize = 0)"
)


def _for_each(name: str, event: str, *statements: str) -> str:
    return f"CREATE TRIGGER {name} AFTER {event} BEGIN {'; '.join(statements)}; END"


SQLITE = (
    f"""CREATE TABLE asset_tally (
        type TEXT NOT NULL,
        status TEXT NOT NULL,
        effective_status TEXT NOT NULL,
        managed_by TEXT NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY ({_COLUMNS})
    )""",
    f"INSERT INTO asset_tally SELECT {_COLUMNS}, COUNT(*) FROM asset GROUP BY {_COLUMNS}",  # noqa: S608
    "ALTER TABLE tag ADD COLUMN number INTEGER NOT NULL DEFAULT 0",
    "UPDATE tag SET number = (SELECT COUNT(*) FROM asset_tag WHERE tag = id)",
    *_ORDERS,
    _INDEX,
    # For the check: in how many texts each part is.
    "CREATE VIRTUAL TABLE asset_search_part USING fts5vocab (asset_search, row)",
    "INSERT INTO asset_search (asset_search) VALUES ('rebuild')",
    "INSERT INTO asset_search (asset_search) VALUES ('optimize')",
    _for_each("asset_created", "INSERT ON asset", _MORE, _FIND),
    _for_each("asset_deleted", "DELETE ON asset", _LESS, _LOSE),
    _for_each("asset_changed", f"UPDATE OF {_COLUMNS} ON asset {_COUNTED}", _LESS, _MORE),
    _for_each("asset_renamed", f"UPDATE OF search ON asset {_RENAMED}", _LOSE, _FIND),
    _for_each("asset_tagged", "INSERT ON asset_tag", _TAG.format("+", "new")),
    _for_each("asset_untagged", "DELETE ON asset_tag", _TAG.format("-", "old")),
)

_COUNT = f"""INSERT INTO asset_tally AS kept
    SELECT {_COLUMNS}, SUM(by) FROM ({{}}) AS changed
        GROUP BY {_COLUMNS} HAVING SUM(by) <> 0
    ON CONFLICT ({_COLUMNS}) DO UPDATE SET number = kept.number + excluded.number"""  # noqa: S608
_CAME = f"SELECT {_COLUMNS}, 1 AS by FROM came"  # noqa: S608
_WENT = f"SELECT {_COLUMNS}, -1 AS by FROM went"  # noqa: S608
_TAGGED = """UPDATE tag SET number = tag.number {} changed.number
    FROM (SELECT tag, COUNT(*) AS number FROM {} GROUP BY tag) AS changed
    WHERE tag.id = changed.tag"""


def _trigger(name: str, event: str, table: str, rows: str, statement: str) -> tuple[str, str]:
    """Return statements for a trigger which sees all rows that a statement changes at once.

    One for each row would update the same number for each, and a transaction that changes many
    rows would leave as many dead versions of it.
    """
    body = f"$$ BEGIN {statement}; RETURN NULL; END $$"
    when = f"AFTER {event} ON {table} REFERENCING {rows} FOR EACH STATEMENT"
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS {body}",
        f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {name}()",
    )


POSTGRESQL = (
    f"""CREATE TABLE asset_tally (
        type TEXT COLLATE "C" NOT NULL,
        status TEXT COLLATE "C" NOT NULL,
        effective_status TEXT COLLATE "C" NOT NULL,
        managed_by TEXT COLLATE "C" NOT NULL,
        number BIGINT NOT NULL,
        PRIMARY KEY ({_COLUMNS})
    )""",
    f"INSERT INTO asset_tally SELECT {_COLUMNS}, COUNT(*) FROM asset GROUP BY {_COLUMNS}",  # noqa: S608
    "ALTER TABLE tag ADD COLUMN number BIGINT NOT NULL DEFAULT 0",
    "UPDATE tag SET number = (SELECT COUNT(*) FROM asset_tag WHERE tag = id)",
    *_ORDERS,
    *_trigger("asset_created", "INSERT", "asset", "NEW TABLE AS came", _COUNT.format(_CAME)),
    *_trigger("asset_deleted", "DELETE", "asset", "OLD TABLE AS went", _COUNT.format(_WENT)),
    *_trigger(
        "asset_changed",
        "UPDATE",
        "asset",
        "OLD TABLE AS went NEW TABLE AS came",
        _COUNT.format(f"{_CAME} UNION ALL {_WENT}"),
    ),
    *_trigger(
        "asset_tagged", "INSERT", "asset_tag", "NEW TABLE AS came", _TAGGED.format("+", "came")
    ),
    *_trigger(
        "asset_untagged", "DELETE", "asset_tag", "OLD TABLE AS went", _TAGGED.format("-", "went")
    ),
)
