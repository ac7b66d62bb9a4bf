"""docs/registry.md: its commands are run, and print what it shows."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from documented_commands import Command, Reader, commands
from tradingbot_dev.processes.postgresql_server import on_loopback, postgresql_server

PAGE = Path(__file__).parents[2] / "docs/registry.md"
START = [Command("tradingbot registry", "")]


@contextmanager
def damaged(file: Path) -> Iterator[None]:
    """A status that does not exist, and a cycle."""
    with sqlite3.connect(file, isolation_level=None) as database:
        both = "FROM asset a, asset b WHERE a.name = 'db' AND b.name = 'matching'"
        database.execute("UPDATE asset SET status = 'Broken' WHERE name = 'matching'")
        database.execute(f"INSERT INTO dependency (src, dst) SELECT a.seq, b.seq {both}")
        yield
        database.execute("UPDATE asset SET status = 'Active' WHERE name = 'matching'")
        database.execute(f"DELETE FROM dependency WHERE (src, dst) IN (SELECT a.seq, b.seq {both})")
    database.close()


def test_the_commands_of_the_page_print_what_it_shows(
    postgresql_programs: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "reader"
    directory.mkdir()
    (directory / "password").write_text("...")
    page = commands(PAGE)
    with postgresql_server(postgresql_programs, on_loopback()) as server:
        port = server.settings["port"]
        reader = Reader(
            directory,
            {
                "127.0.0.1:5432": f"127.0.0.1:{port}",
                "port 5432": f"port {port}",
                "/srv/registry/": f"{directory}/",
            },
            {"PGHOST": str(server.directory), "PGPORT": port, "PGUSER": "postgres"},
        )
        try:
            follow(page, reader)
        finally:
            reader.stop()
    assert page == {}


def follow(page: dict[str, list[list[Command]]], reader: Reader) -> None:
    """Read the page from its beginning, and do what the text says between the commands."""
    reader.follow(*page.pop("The asset registry"), *page.pop("Assets"))
    reader.follow(*page.pop("Dependencies and health"), *page.pop("Deleting"))
    reader.follow(*page.pop("Batches"), *page.pop("History"), *page.pop("Reports"))
    reader.follow(*page.pop("Errors"))
    reader.stop()

    serve, can_not_serve, in_a_cluster = page.pop("PostgreSQL")
    reader.follow(serve)
    reader.stop()
    reader.follow(can_not_serve)
    assert [command.text.split()[0] for command in in_a_cluster] == ["kubectl"]

    reader.follow(START)
    backup, too_early, restore = page.pop("Backup and restore")
    reader.follow(backup, too_early)
    reader.stop()
    reader.follow(restore)
    with damaged(reader.directory / "registry.db"):
        reader.follow(*page.pop("Check"))
    reader.follow(*page.pop("From SQLite to PostgreSQL"))

    (reader.directory / "registry.db").unlink()
    (of_assets,) = page.pop("Assets on the command line")
    (shows,) = (command for command in of_assets if command.text.startswith("cat "))
    (reader.directory / shows.text.removeprefix("cat ")).write_text(shows.shown + "\n")
    reader.follow(START, of_assets)
