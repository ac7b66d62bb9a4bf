"""The registry as a process: gunicorn, embedded, with one worker and some threads.

One worker because SQLite has one writer; threads because most requests wait for it or only read.
gunicorn's parent process watches over the worker and starts another should it die.
"""

import ipaddress
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.errors import HaltServer
from gunicorn.glogging import Logger

from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.auth import Gate
from tradingbot_registry.database import SqliteFile, database_path
from tradingbot_registry.errors import AddressError, ServerError
from tradingbot_registry.settings import AuthMode, RegistrySettings

log = logging.getLogger(__name__)

DRAIN_SECONDS = 20
"""How long requests may take to finish after SIGTERM; under Kubernetes' grace period of 30."""

BACKLOG = 256


def run(settings: RegistrySettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises RegistryError, with one line, if that can't be."""
    check_address(settings)
    gate = _gate(settings.auth_mode)
    listener = listen(settings.host, settings.port)
    # The database last: what can't start should not have migrated it.
    database = prepared_database(settings.database_url)
    app = create_app(database, gate=gate)
    host, port = listener.getsockname()[:2]
    base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    log.info(
        "registry listens on %s, its documentation is at %s/api/v1/docs",
        base,
        base,
        extra={
            "url": base,
            "database": str(database_path(settings.database_url)),
            "auth_mode": settings.auth_mode.value,
        },
    )
    _serve(app, database, listener, threads=settings.threads)
    log.info("registry stopped")


def check_address(settings: RegistrySettings) -> None:
    """Raise AddressError for an address that others can reach while nobody must log in."""
    if settings.auth_mode is not AuthMode.NONE:
        return
    addresses = {str(found[4][0]) for found in _resolve(settings.host, settings.port)}
    if not all(ipaddress.ip_address(address).is_loopback for address in addresses):
        raise AddressError(
            f"host {settings.host} can be reached from other machines and auth mode is none:"
            " use --host 127.0.0.1, or --auth-mode kubernetes"
        )


def _resolve(host: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise AddressError(f"host {host!r} can't be resolved: {error.strerror}") from error


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, made here because gunicorn would retry a taken port for seconds."""
    family, kind, protocol, _, address = _resolve(host, port)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressError(
            f"can't listen on {host} port {port}: {os.strerror(error.errno or 0)};"
            " choose another --port, or stop what uses it"
        ) from error
    return listener


def _gate(mode: AuthMode) -> Gate | None:
    if mode is AuthMode.NONE:
        return None
    # Only here: the client takes a quarter of a second to import.
    from tradingbot_registry.kubernetes_auth import KubernetesGate, cluster_api  # noqa: PLC0415

    return KubernetesGate(cluster_api(), clock=time.monotonic)


def _serve(app: Flask, database: SqliteFile, listener: socket.socket, *, threads: int) -> None:
    parent = os.getpid()
    try:
        _Gunicorn(app, database, listener, threads=threads).run()
    except HaltServer as error:
        raise ServerError(f"the HTTP server stopped: {error.reason}") from error
    except SystemExit as end:
        # gunicorn ends by exiting, in the worker too; only the parent has something to return to.
        if os.getpid() != parent or end.code not in {0, None}:
            raise


class _Gunicorn(BaseApplication):
    """gunicorn with an application and a socket that are there already."""

    def __init__(
        self, app: Flask, database: SqliteFile, listener: socket.socket, *, threads: int
    ) -> None:
        self._app = app
        self._options = {
            # gunicorn takes the descriptor over and closes it.
            "bind": f"fd://{listener.detach()}",
            "worker_class": "gthread",
            "workers": 1,
            "threads": threads,
            "graceful_timeout": DRAIN_SECONDS,
            "logger_class": QuietLogger,
            "control_socket_disable": True,
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108
            # In the worker and not before: a SQLite connection must not be carried over a fork.
            "post_fork": lambda _arbiter, _worker: database.hold(),
            "worker_exit": lambda _arbiter, _worker: database.release(),
            "proc_name": "tradingbot-registry",
        }
        super().__init__()

    def load_config(self) -> None:
        """Only what is said here; no file, no environment, no command line."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The application."""
        return self._app


class QuietLogger(Logger):
    """gunicorn's messages on this package's logger: its small talk at level DEBUG."""

    def setup(self, cfg: Any) -> None:
        """Use the handlers that the program has set up, and none of gunicorn's."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log = logging.getLogger("tradingbot_registry.gunicorn")
        self.access_log = self.error_log

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log at DEBUG."""
        self.error_log.debug(msg, *args, **kwargs)
