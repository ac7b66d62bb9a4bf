"""Serve the registry with a WSGI server, as a module: NAME, port, SQLite file, package directory.

The packages of the servers are searched last, so the registry has its own versions of all others.
"""

import os
import sys
from typing import Any

from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.settings import RegistrySettings

THREADS = 8
"""As many as the registry has by default."""
CONNECTIONS = 1024
"""Connections that a server must take, for those that limit them."""


def application() -> Any:
    """Return the registry on the database of `TRADINGBOT_REGISTRY_DATABASE_URL`."""
    database = prepared_database(RegistrySettings().database_url)
    database.hold()
    return create_app(database)


def main(name: str, port: int) -> None:
    """Serve until SIGTERM."""
    SERVERS[name](port)


def _gunicorn(port: int) -> None:
    from gunicorn.app.base import BaseApplication  # noqa: PLC0415

    class Gunicorn(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            self.cfg.set("bind", f"127.0.0.1:{port}")
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("threads", THREADS)

        def load(self) -> Any:
            return application()

    Gunicorn().run()


def _granian(port: int) -> None:
    from granian import Granian  # noqa: PLC0415
    from granian.constants import Interfaces  # noqa: PLC0415

    Granian(
        "bench.registry.wsgi_app:application",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        blocking_threads=THREADS,
        factory=True,
        log_enabled=False,
    ).serve()


def _waitress(port: int) -> None:
    import signal  # noqa: PLC0415

    from waitress.server import create_server  # noqa: PLC0415

    server = create_server(
        application(),
        host="127.0.0.1",
        port=port,
        threads=THREADS,
        connection_limit=CONNECTIONS,
    )
    # It has no handling of SIGTERM of its own: SystemExit ends its loop, which drains.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server.run()


def _cheroot(port: int) -> None:
    import signal  # noqa: PLC0415

    from cheroot.wsgi import Server  # noqa: PLC0415

    server = Server(
        ("127.0.0.1", port), application(), numthreads=THREADS, request_queue_size=CONNECTIONS
    )
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "interrupt", SystemExit()))
    server.safe_start()


SERVERS = {
    "gunicorn": _gunicorn,
    "granian": _granian,
    "waitress": _waitress,
    "cheroot": _cheroot,
}

if __name__ == "__main__":
    sys.path.append(os.environ["WSGI_SERVERS"])
    main(sys.argv[1], int(sys.argv[2]))
