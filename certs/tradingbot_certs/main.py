"""`tradingbot certs`: keep the webhook's certificates, once or for as long as it runs."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from kubernetes import config as kube_config
from kubernetes.client import ApiClient, Configuration
from yaml import YAMLError

from tradingbot_certs.directory import DirectoryStore
from tradingbot_certs.errors import CertsError, ClusterError
from tradingbot_certs.health import HealthServer, Status
from tradingbot_certs.injection import Injector
from tradingbot_certs.replicas import Servers, addresses_of
from tradingbot_certs.rotation import Rotation, Store
from tradingbot_certs.secret import SecretStore
from tradingbot_certs.settings import CertSettings

logger = logging.getLogger(__name__)


def run(settings: CertSettings) -> None:
    """Ensure the certificates; without `once`, check again and again until SIGTERM or SIGINT."""
    rotation = assembled(settings)
    if settings.once:
        rotation.check()
        return
    stop = threading.Event()
    with _stopping(stop):
        keep(settings, rotation, stop=stop)


def assembled(settings: CertSettings) -> Rotation:
    """The parts that the settings ask for."""
    client = _kube_client() if settings.needs_cluster else None
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


def keep(settings: CertSettings, rotation: Rotation, *, stop: threading.Event) -> None:
    """Check by the wall clock until `stop` is set.

    Not by one long timer to the next renewal: a suspended machine's timer does not run on, and a
    Secret that somebody deleted must come back within a minute. What the cluster refuses is tried
    again at the next check; what only a person can mend ends the process at its first check, and
    is reported by /readyz afterwards.
    """
    status = Status()
    first = True
    last_error: str | None = None
    with HealthServer(settings.certs_health_host, settings.certs_health_port, status=status):
        while not stop.is_set():
            try:
                rotation.check(status.saw)
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


def _kube_client() -> ApiClient:
    configuration = Configuration()
    try:
        if os.environ.get("KUBERNETES_SERVICE_HOST"):
            kube_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            kube_config.load_kube_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
    except (kube_config.ConfigException, OSError, YAMLError) as error:
        why = " ".join(str(error).split())  # YAML's complaints run over several lines
        raise ClusterError(
            f"no way to the cluster: {why}. Set KUBECONFIG, or run inside a pod"
        ) from error
    return ApiClient(configuration)


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on SIGTERM and SIGINT; afterwards the previous handlers are back."""
    previous = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
