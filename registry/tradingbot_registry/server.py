"""The registry's process: one event loop for the connections, several threads for the requests.

One process because SQLite has one writer; threads because most requests wait for the writer or only
read.
"""

import logging
import resource
import socket
import time
from collections.abc import Callable
from datetime import timedelta

from flask import Flask
from tradingbot_process.listening import BACKLOG, base_url, is_loopback_only, listen

from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.auth.gate import Gate
from tradingbot_registry.errors import AddressError
from tradingbot_registry.rest.body import MAX_BODY
from tradingbot_registry.rest.request_context import EXTENSION
from tradingbot_registry.serving_certificate import ServingCertificate
from tradingbot_registry.settings import AuthMode, RegistrySettings
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.wsgi_server import Application, Server, configured

log = logging.getLogger(__name__)

DRAIN_SECONDS = 20
"""How long requests may take to finish after SIGTERM; under Kubernetes' grace period of 30."""


def run(settings: RegistrySettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises RegistryError or ListenError."""
    check_address(settings)
    gate = _gate(settings)
    certificate = ServingCertificate(settings.cert_dir) if settings.cert_dir else None
    listener = listen(settings.host, settings.port, setting="--port")
    # The database last: a registry that can't start must not migrate it.
    database = prepared_database(
        settings.database_url,
        password_file=settings.database_password_file,
        # One for each request, and one to look for changes.
        connections=settings.threads + 1,
    )
    app = create_app(database, gate=gate, keep=timedelta(days=settings.history_days))
    base = base_url(listener, tls=certificate is not None)

    def ready() -> None:
        log.info(
            "registry listens on %s, its documentation is at %s/api/v1/docs",
            base,
            base,
            extra={
                "url": base,
                "database": database.place,
                "auth_mode": settings.auth_mode.value,
            },
        )

    _serve(app, database, listener, certificate, threads=settings.threads, ready=ready)
    log.info("registry stopped")


def check_address(settings: RegistrySettings) -> None:
    """Raise AddressError for an address that other machines reach without authentication or TLS."""
    if settings.auth_mode is not AuthMode.NONE and settings.cert_dir is not None:
        return
    if is_loopback_only(settings.host):
        return
    where = f"host {settings.host}" if settings.host else "a registry on all addresses"
    reached = f"{where} can be reached from other machines and"
    if settings.auth_mode is AuthMode.NONE:
        raise AddressError(
            f"{reached} auth mode is none: use --host 127.0.0.1, or --auth-mode kubernetes"
        )
    raise AddressError(
        f"{reached} callers' tokens would travel in the clear: give --cert-dir, or use --host"
        " 127.0.0.1 behind something that serves TLS"
    )


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
    database: Database,
    listener: socket.socket,
    certificate: ServingCertificate | None,
    *,
    threads: int,
    ready: Callable[[], None],
) -> None:
    _allow_many_connections()
    store = app.extensions[EXTENSION].store
    server = Server(
        configured(
            Application(
                app,
                threads=threads,
                max_body=MAX_BODY,
                changed=store.changed,
                last_change=store.reads.last_change if database.shared else None,
            ),
            tls=certificate and certificate.reloading_context(),
            drain_seconds=DRAIN_SECONDS,
            backlog=BACKLOG,
        ),
        ready=ready,
    )
    database.hold()
    try:
        server.run(sockets=[listener])
    finally:
        database.release()


def _allow_many_connections() -> None:
    """Raise the limit of open files, which each waiting client needs one of, to what is allowed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
