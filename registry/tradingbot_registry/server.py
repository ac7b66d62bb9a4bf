"""The registry's process: embedded gunicorn, with one worker and several threads.

One worker because SQLite has one writer; threads because most requests wait for the writer or only
read. gunicorn's parent process restarts a worker that dies.
"""

import ipaddress
import logging
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.errors import HaltServer
from gunicorn.glogging import Logger

from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.auth.gate import Gate
from tradingbot_registry.errors import AddressError, ServerError
from tradingbot_registry.serving_certificate import ServingCertificate
from tradingbot_registry.settings import AuthMode, RegistrySettings
from tradingbot_registry.storage.database import SqliteFile, database_path

log = logging.getLogger(__name__)

DRAIN_SECONDS = 20
"""How long requests may take to finish after SIGTERM; under Kubernetes' grace period of 30."""

BACKLOG = 256


def run(settings: RegistrySettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises RegistryError."""
    check_address(settings)
    gate = _gate(settings)
    certificate = ServingCertificate(settings.cert_dir) if settings.cert_dir else None
    listener = listen(settings.host, settings.port)
    # The database last: a registry that can't start must not migrate it.
    database = prepared_database(settings.database_url)
    app = create_app(database, gate=gate)
    host, port = listener.getsockname()[:2]
    scheme = "https" if certificate else "http"
    base = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
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
    _serve(app, database, listener, certificate, threads=settings.threads)
    log.info("registry stopped")


def check_address(settings: RegistrySettings) -> None:
    """Raise AddressError for an address that other machines reach without authentication or TLS."""
    if settings.auth_mode is not AuthMode.NONE and settings.cert_dir is not None:
        return
    addresses = {str(found[4][0]) for found in _resolve(settings.host, settings.port)}
    if all(ipaddress.ip_address(address).is_loopback for address in addresses):
        return
    reached = f"host {settings.host} can be reached from other machines and"
    if settings.auth_mode is AuthMode.NONE:
        raise AddressError(
            f"{reached} auth mode is none: use --host 127.0.0.1, or --auth-mode kubernetes"
        )
    raise AddressError(
        f"{reached} callers' tokens would travel in the clear: give --cert-dir, or use --host"
        " 127.0.0.1 behind something that serves TLS"
    )


def _resolve(host: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise AddressError(f"host {host!r} can't be resolved: {error.strerror}") from error


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. gunicorn would retry for seconds if the port is in use."""
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


def _gate(settings: RegistrySettings) -> Gate | None:
    if settings.auth_mode is AuthMode.NONE:
        return None
    # Imported here: the client takes a quarter of a second to import.
    from tradingbot_registry.auth.kubernetes import KubernetesGate, cluster_api  # noqa: PLC0415

    return KubernetesGate(
        cluster_api(),
        clock=time.monotonic,
        audience=settings.token_audience,
        accept_cluster_tokens=settings.accept_cluster_tokens,
    )


def _serve(
    app: Flask,
    database: SqliteFile,
    listener: socket.socket,
    certificate: ServingCertificate | None,
    *,
    threads: int,
) -> None:
    parent = os.getpid()
    try:
        _Gunicorn(app, database, listener, certificate, threads=threads).run()
    except HaltServer as error:
        raise ServerError(f"the HTTP server stopped: {error.reason}") from error
    except SystemExit as end:
        # gunicorn ends with SystemExit, in the worker too; only the parent returns.
        if os.getpid() != parent or end.code not in {0, None}:
            raise


class _Gunicorn(BaseApplication):
    """gunicorn with an existing application and socket."""

    def __init__(
        self,
        app: Flask,
        database: SqliteFile,
        listener: socket.socket,
        certificate: ServingCertificate | None,
        *,
        threads: int,
    ) -> None:
        self._app = app
        self._options: dict[str, Any] = {
            # gunicorn takes over the descriptor and closes it.
            "bind": f"fd://{listener.detach()}",
            "worker_class": "gthread",
            "workers": 1,
            "threads": threads,
            "graceful_timeout": DRAIN_SECONDS,
            "logger_class": QuietLogger,
            "control_socket_disable": True,
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108
            # In the worker, not before: a SQLite connection must not cross a fork.
            "post_fork": lambda _arbiter, _worker: database.hold(),
            "worker_exit": lambda _arbiter, _worker: database.release(),
            "proc_name": "tradingbot-registry",
        }
        if certificate is not None:
            self._options |= {
                # That there are files makes gunicorn serve TLS; the context comes from the hook,
                # which gunicorn calls for each connection.
                "certfile": str(certificate.certificate),
                "keyfile": str(certificate.key),
                "ssl_context": lambda _config, _default: certificate.context(),
            }
        super().__init__()

    def load_config(self) -> None:
        """Set only this configuration: no file, environment or command line."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the application."""
        return self._app


class QuietLogger(Logger):
    """gunicorn's messages on this package's logger, the routine ones at level DEBUG."""

    def setup(self, cfg: Any) -> None:
        """Use the program's log handlers instead of gunicorn's."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log = logging.getLogger("tradingbot_registry.gunicorn")
        self.access_log = self.error_log

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log at DEBUG."""
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log at ERROR; at DEBUG if a client was silent for too long."""
        if isinstance(sys.exc_info()[1], TimeoutError):
            self.error_log.debug(msg, *args, **kwargs)
        else:
            super().exception(msg, *args, **kwargs)
