"""`tradingbot certs`: issue and rotate certificates, once or until stopped."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from kubernetes.client import ApiClient
from tradingbot_kubeconfig.client import connect

from tradingbot_certs.directory import DirectoryStore
from tradingbot_certs.errors import CertsError, ClusterError
from tradingbot_certs.health import HealthServer, Status
from tradingbot_certs.injection import Injector
from tradingbot_certs.replicas import Servers, addresses_of
from tradingbot_certs.rotation import Rotation, Store
from tradingbot_certs.secret import SecretStore
from tradingbot_certs.settings import CertSettings

logger = logging.getLogger(__name__)

_REGISTRY = "tradingbot-registry"


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
    client = connect() if settings.needs_cluster else None
    return Rotation(
        rules=settings.rules,
        store=_store(settings, client),
        trust=(
            Injector(client, settings.webhook_configurations)
            if client and settings.injects
            else None
        ),
        replicas=_replicas(settings, client),
        clock=utc_now,
    )


def registry_rotation(settings: CertSettings) -> Rotation | None:
    """Build the rotation of the registry's certificate; None without --registry-secret.

    The registry has an authority of its own because other clients trust it: a stolen key of one
    authority can't impersonate both the webhooks and the registry. The operator reads the bundle
    from the serving Secret, which the kubelet updates well within `settle`; there is nothing to
    inject.
    """
    names = settings.registry_secret_names
    if names is None:
        return None
    client = connect()
    namespace, name, ca_name = names
    return Rotation(
        rules=settings.registry_rules,
        store=SecretStore(
            client, namespace=namespace, name=name, ca_name=ca_name, server=_REGISTRY
        ),
        trust=None,
        replicas=Servers(addresses_of(client, namespace=namespace, service=_REGISTRY)),
        clock=utc_now,
    )


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


def _store(settings: CertSettings, client: ApiClient | None) -> Store:
    if settings.cert_dir is not None:
        return DirectoryStore(settings.cert_dir)
    if client is None:
        raise AssertionError("a Secret is kept through a client")
    namespace, name, ca_name = settings.secret_names
    return SecretStore(client, namespace=namespace, name=name, ca_name=ca_name)


def _replicas(settings: CertSettings, client: ApiClient | None) -> Servers | None:
    if settings.webhook_addresses:
        return Servers(lambda: settings.addresses)
    if client is not None and settings.service is not None:
        namespace, service = settings.service
        return Servers(addresses_of(client, namespace=namespace, service=service))
    return None


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
