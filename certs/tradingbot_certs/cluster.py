"""The rotations that use the API server, in one module: `main` imports it if they are needed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from kubernetes.client import ApiClient
from tradingbot_kubeconfig.client import connect

from tradingbot_certs.directory import DirectoryStore
from tradingbot_certs.endpoints import addresses_of
from tradingbot_certs.injection import Injector
from tradingbot_certs.replicas import Servers
from tradingbot_certs.rotation import Rotation, Store
from tradingbot_certs.secret import SecretStore
from tradingbot_certs.settings import CertSettings

_REGISTRY = "tradingbot-registry"


def rotation(settings: CertSettings, *, clock: Callable[[], datetime]) -> Rotation:
    """Build the rotation of the webhooks' certificate from the settings."""
    client = connect()
    return Rotation(
        rules=settings.rules,
        store=_store(settings, client),
        trust=Injector(client, settings.webhook_configurations) if settings.injects else None,
        replicas=_replicas(settings, client),
        clock=clock,
    )


def registry_rotation(
    settings: CertSettings, names: tuple[str, str, str], *, clock: Callable[[], datetime]
) -> Rotation:
    """Build the rotation of the registry's certificate. `names`: namespace, Secret, CA's Secret.

    The registry has an authority of its own because other clients trust it: a stolen key of one
    authority can't impersonate both the webhooks and the registry. The operator reads the bundle
    from the serving Secret, which the kubelet updates well within `settle`; there is nothing to
    inject.
    """
    client = connect()
    namespace, name, ca_name = names
    return Rotation(
        rules=settings.registry_rules,
        store=SecretStore(
            client, namespace=namespace, name=name, ca_name=ca_name, server=_REGISTRY
        ),
        trust=None,
        replicas=Servers(addresses_of(client, namespace=namespace, service=_REGISTRY)),
        clock=clock,
    )


def _store(settings: CertSettings, client: ApiClient) -> Store:
    if settings.cert_dir is not None:
        return DirectoryStore(settings.cert_dir)
    namespace, name, ca_name = settings.secret_names
    return SecretStore(client, namespace=namespace, name=name, ca_name=ca_name)


def _replicas(settings: CertSettings, client: ApiClient) -> Servers | None:
    if settings.webhook_addresses:
        return Servers(lambda: settings.addresses)
    if settings.service is not None:
        namespace, service = settings.service
        return Servers(addresses_of(client, namespace=namespace, service=service))
    return None
