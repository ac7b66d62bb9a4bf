"""`tradingbot certs`: issue and rotate certificates, once or until stopped."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from tradingbot_certs.directory import DirectoryStore
from tradingbot_certs.errors import CertsError, ClusterError
from tradingbot_certs.health import HealthServer, Status
from tradingbot_certs.replicas import Servers
from tradingbot_certs.rotation import Rotation
from tradingbot_certs.settings import CertSettings

logger = logging.getLogger(__name__)


def run(settings: CertSettings) -> None:
    """Check the certificates; without `once`, repeat the check until SIGTERM or SIGINT."""
    rotation, registry = assembled(settings), registry_rotation(settings)
    if settings.once:
        check_all(rotation, registry)
        return
    stop = threading.Event()
    with _stopping(stop):
        keep(settings, rotation, registry=registry, stop=stop)


def assembled(settings: CertSettings) -> Rotation:
    """Build the rotation of the webhooks' certificate from the settings."""
    if settings.cert_dir is None or settings.needs_cluster:
        # Imported here, as below: the client of the API server is most of a start's CPU time.
        from tradingbot_certs import cluster  # noqa: PLC0415

        return cluster.rotation(settings, clock=utc_now)
    return Rotation(
        rules=settings.rules,
        store=DirectoryStore(settings.cert_dir),
        trust=None,
        replicas=Servers(lambda: settings.addresses) if settings.webhook_addresses else None,
        clock=utc_now,
    )


def registry_rotation(settings: CertSettings) -> Rotation | None:
    """Build the rotation of the registry's certificate; None without --registry-secret."""
    if settings.registry_secret_names is None:
        return None
    from tradingbot_certs import cluster  # noqa: PLC0415

    return cluster.registry_rotation(settings, settings.registry_secret_names, clock=utc_now)


def check_all(
    rotation: Rotation, registry: Rotation | None, *, status: Status | None = None
) -> None:
    """Check both certificates. An error of the first does not prevent the check of the second.

    Raises the first CertsError.
    """
    status = status or Status()
    errors = []
    for kept, prefix in ((rotation, ""), (registry, "registry-")):
        try:
            if kept is not None:
                kept.check(partial(status.saw, prefix=prefix))
        except CertsError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def keep(
    settings: CertSettings,
    rotation: Rotation,
    *,
    stop: threading.Event,
    registry: Rotation | None = None,
) -> None:
    """Check at each interval until `stop` is set.

    A single timer until the next renewal would not do: it stops while a machine is suspended, and a
    deleted Secret must be restored within a minute. An error of the cluster is retried at the next
    check. An error that only a user can fix ends the process at its first check; later, /readyz
    reports it.
    """
    status = Status()
    first = True
    last_error: str | None = None
    with HealthServer(settings.health_host, settings.health_port, status=status):
        while not stop.is_set():
            try:
                check_all(rotation, registry, status=status)
            except CertsError as error:
                if first and not isinstance(error, ClusterError):
                    raise
                status.failed(str(error))
                if str(error) != last_error:
                    logger.warning("check failed, will be repeated: %s", error)
                last_error = str(error)
            else:
                if last_error is not None:
                    logger.info("check succeeded again")
                last_error = None
                status.succeeded(rotation.clock())
            first = False
            stop.wait(settings.check_interval)


def utc_now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on SIGTERM and SIGINT, and restore the previous handlers at the end."""
    previous = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
