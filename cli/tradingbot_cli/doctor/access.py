"""The doctor's access to the API server."""

from __future__ import annotations

from kubernetes.client import ApiClient
from tradingbot_kubeconfig.client import connect as connect_client
from tradingbot_kubeconfig.source import KubeconfigError

from tradingbot_cli.errors import CommandError

MAX_CONCURRENT_REQUESTS = 8


class NoAccessError(CommandError):
    """Raised when nothing can be checked: no way to the cluster, no answer, an unknown caller."""


def connect(kubeconfig: str | None, context: str | None) -> ApiClient:
    """Return a client with the same access as kubectl. No request is sent. Raises NoAccessError."""
    try:
        return connect_client(
            kubeconfig,
            context=context,
            remedy="give --kubeconfig, or set KUBECONFIG",
            retry=False,  # an unreliable connection is a finding
            connections=MAX_CONCURRENT_REQUESTS,
        )
    except KubeconfigError as error:
        raise NoAccessError(str(error)) from error
