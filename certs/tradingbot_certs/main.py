"""`tradingbot certs`: keep the webhook's certificates, once or for as long as it runs."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Protocol

from kubernetes import config as kube_config
from kubernetes.client import ApiClient, Configuration
from yaml import YAMLError

from tradingbot_certs.directory import DirectoryStore
from tradingbot_certs.errors import CertsError, ClusterError, ConflictError
from tradingbot_certs.health import HealthServer, Status
from tradingbot_certs.injection import Injector
from tradingbot_certs.plan import Bundle, Plan, Stored, plan
from tradingbot_certs.secret import SecretStore
from tradingbot_certs.settings import CertSettings

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]
_ATTEMPTS = 3


class Store(Protocol):
    """Where certificates are kept: a folder, or two Secrets."""

    @property
    def place(self) -> str: ...
    def locked(self) -> AbstractContextManager[None]: ...
    def load(self) -> Stored: ...
    def save_authority(self, bundle: Bundle) -> None: ...
    def save_serving(self, bundle: Bundle) -> None: ...


def run(settings: CertSettings) -> None:
    """Ensure the certificates; without `once`, check again and again until SIGTERM or SIGINT."""
    client = _kube_client() if settings.secret is not None or settings.injects else None
    store = _store(settings, client)
    injector = (
        Injector(client, settings.webhook_configurations) if client and settings.injects else None
    )
    if settings.once:
        ensure(settings, store=store, injector=injector, now=utc_now())
        return
    stop = threading.Event()
    with _stopping(stop):
        keep(settings, store=store, injector=injector, clock=utc_now, stop=stop)


def ensure(
    settings: CertSettings, *, store: Store, injector: Injector | None, now: datetime
) -> Plan:
    """One check: issue what is due, store it, and have it trusted before it is served."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _ensure_once(settings, store=store, injector=injector, now=now)
        except ConflictError:
            continue  # another process was faster: see what it left to do
    return _ensure_once(settings, store=store, injector=injector, now=now)


def _ensure_once(
    settings: CertSettings, *, store: Store, injector: Injector | None, now: datetime
) -> Plan:
    with store.locked():
        wanted = plan(store.load(), names=settings.names, now=now, place=store.place)
        bundle = wanted.bundle
        if wanted.new_authority or wanted.new_trust:
            store.save_authority(bundle)
            logger.info(
                "authority %s",
                "issued" if wanted.new_authority else "bundle changed",
                extra={
                    "place": store.place,
                    "because": wanted.new_authority or wanted.new_trust,
                    "expires": bundle.authority.certificate.not_valid_after_utc.isoformat(),
                },
            )
        missing = injector.inject(bundle.ca_crt) if injector else frozenset()
        if wanted.new_serving or wanted.new_trust:
            store.save_serving(bundle)
        if wanted.new_serving:
            logger.info(
                "certificate issued",
                extra={
                    "place": store.place,
                    "because": wanted.new_serving,
                    "names": str(settings.names),
                    "expires": bundle.serving.certificate.not_valid_after_utc.isoformat(),
                },
            )
    if missing:
        raise ClusterError(
            "no webhook configuration is called"
            f" {' or '.join(sorted(missing))}: apply config/webhook, or set"
            " --webhook-configurations"
        )
    return wanted


def keep(
    settings: CertSettings,
    *,
    store: Store,
    injector: Injector | None,
    clock: Clock,
    stop: threading.Event,
) -> None:
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
                wanted = ensure(settings, store=store, injector=injector, now=clock())
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
                status.succeeded(
                    serving_expiry=wanted.bundle.serving.certificate.not_valid_after_utc,
                    authority_expiry=wanted.bundle.authority.certificate.not_valid_after_utc,
                )
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
