"""A search finds what its definition says, whatever finds it: an index, or all assets read."""

import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from registry_harness import ASSETS, ON_SQLITE, Api, statements_of
from tradingbot_dev.processes.postgresql_server import PostgresqlServer
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.maintenance.checking import check_database
from tradingbot_registry.storage.engine import Database

LETTERS = "aAbBßẞsSİi̇ΣςE\u0301ﬁfi%_\\'\"*^-+(): |&.,;\x7f\u200c\u200d注文\U0001f600"
"""What is folded, what could mean something to an index, and what has several bytes."""
TEXTS = st.text(alphabet=st.sampled_from(LETTERS), max_size=8)
NAMES = TEXTS.map(lambda text: f"x{text}x".replace("\x7f", "").replace("\u200d", ""))


def folded(text: str) -> str:
    """The definition: without regard to case and coding."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def found(api: Api, q: str, **more: Any) -> list[str]:
    response = api.client.get(ASSETS, query_string={"q": q, "page_size": 500, **more})
    assert response.status_code == 200, response.text
    return [asset["description"] for asset in response.json]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(NAMES, min_size=1, max_size=5),
    places=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 8), st.integers(1, 6)), max_size=5),
    others=st.lists(TEXTS, max_size=2),
)
@example(texts=["x100%x", "x1000x"], places=[], others=["0%", "00%", "%", "_00", "%0%", "\\"])
@example(texts=['x"a"bx', "xabx"], places=[], others=['"a"', '"a" OR "b"', "NEAR(a b)", '"""'])
def test_a_search_finds_what_has_the_text_in_it(
    api: Api, texts: list[str], places: list[tuple[int, int, int]], others: list[str]
) -> None:
    for asset in api.client.get(f"{ASSETS}?page_size=500").json:
        assert api.client.delete(f"{ASSETS}/{asset['id']}").status_code == 204
    for text in texts:
        api.add("n", description=text)
    some = {texts[which % len(texts)][at : at + size] for which, at, size in places}
    for q in sorted({*some, *others} - {""}):
        wanted = [text for text in texts if folded(q) in folded(text)]
        assert found(api, q) == wanted, q
        assert found(api, q, sort="-created_at") == wanted[::-1], q


def test_a_search_has_the_pages_and_totals_of_any_filter(api: Api) -> None:
    for number in range(12):
        text = f"number {number:03}" + ("" if number % 3 else " third")
        api.add(f"a{number}", description=text, tags=["even"] if number % 2 == 0 else [])
    third = [f"number {number:03} third" for number in range(0, 12, 3)]
    assert found(api, "third") == third
    assert found(api, "third", sort="-name") == [third[3], third[2], third[1], third[0]]
    assert found(api, "THIRD", tag="even") == third[::2]
    assert found(api, "third", tag="even", sort="-created_at") == third[::2][::-1]
    assert found(api, "number 01") == ["number 010", "number 011"]
    assert found(api, "third", status="Active") == []
    for query, total in (("third", 4), ("umb", 12), ("nothing like this", 0), ("th", 4)):
        response = api.client.get(f"{ASSETS}?q={query}&page_size=1")
        assert f'"total": {total}' in response.headers["X-Pagination"], query


def test_what_is_changed_and_deleted_is_found_no_more(api: Api, database: Database) -> None:
    first, second = api.add("alpha"), api.add("beta", description="alphabet")
    api.patch(first["id"], {"name": "gamma"})
    api.patch(second["id"], {"tags": ["t"]})
    assert api.find("q=alpha") == ["beta"]
    assert api.find("q=gam") == ["gamma"]
    assert api.client.delete(f"{ASSETS}/{second['id']}").status_code == 204
    assert api.find("q=alpha") == []
    with database.connection_context():
        assert check_database(database).lines() == []


@ON_SQLITE
def test_a_rare_text_is_found_without_reading_the_others(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        api.add(f"asset-{number}")
    with statements_of(database, monkeypatch) as statements:
        assert api.find("q=asset-1") == ["asset-1"]
    (page,) = [each for each in statements if "ORDER BY" in each and "LIMIT" in each]
    assert "asset_search MATCH" in page
    with statements_of(database, monkeypatch) as statements:
        assert api.find("q=none-is-so") == []
    assert not [each for each in statements if "ORDER BY" in each and "LIMIT" in each]


def test_a_server_reads_its_index_for_a_rare_text(empty_postgresql: Database) -> None:
    api = Api(create_app(empty_postgresql).test_client())
    api.add("needle_50%")
    with empty_postgresql.connection_context() as _, empty_postgresql.atomic() as transaction:
        # A large inventory is not needed to know whether the index can be used.
        empty_postgresql.execute_sql("SET LOCAL enable_seqscan = off")
        condition = empty_postgresql.contains_text("search")
        plan = empty_postgresql.execute_sql(
            f"EXPLAIN SELECT seq FROM asset WHERE {condition}".replace("?", "%s"),
            (empty_postgresql.sought("dle_5"),),
        ).fetchall()
        transaction.rollback()
    assert any("asset_search" in line for (line,) in plan), plan
    assert api.find("q=dle_5") == ["needle_50%"]
    assert api.find("q=dle 5") == []


def test_without_the_extension_a_search_reads_all_and_the_log_says_so(
    postgresql: PostgresqlServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A user who may create tables in a schema, and no extension in the database."""
    postgresql.execute("CREATE ROLE tenant LOGIN", "CREATE DATABASE lent")
    postgresql.execute("GRANT CREATE ON SCHEMA public TO tenant", database="lent")
    try:
        database = prepared_database(postgresql.url("lent").replace("postgres@", "tenant@"))
        (line,) = [text for text in caplog.messages if "pg_trgm" in text]
        assert line.startswith("a search reads all assets")
        assert line.endswith("restart the registry: CREATE EXTENSION pg_trgm")
        api = Api(create_app(database).test_client())
        api.add("needle")
        assert api.find("q=eed") == ["needle"]
        with database.connection_context():
            (note,) = check_database(database).findings
        assert (note.check, note.fault) == ("search", False)
        database.release()
        # The next start finds what the owner of the database has created, in any schema.
        postgresql.execute(
            "CREATE SCHEMA extensions",
            "GRANT USAGE ON SCHEMA extensions TO tenant",
            "CREATE EXTENSION pg_trgm SCHEMA extensions",
            database="lent",
        )
        database = prepared_database(postgresql.url("lent").replace("postgres@", "tenant@"))
        with database.connection_context():
            assert database.searches_by_index()
            assert check_database(database).lines() == []
        database.release()
    finally:
        postgresql.execute("DROP DATABASE lent WITH (FORCE)", "DROP ROLE tenant")
