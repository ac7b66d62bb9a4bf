"""Make a client of the `kubernetes` library."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes import config
from kubernetes.client import ApiClient, Configuration

from tradingbot_kubeconfig.source import DEFAULT, KubeconfigError, explained, files

SERVICE_REMEDY = "set KUBECONFIG, or run in a pod"
_NO_SUCH = re.compile(r"Expected object with name (\S+) in (?:.*/)?(\S+) list")


def connect(
    kubeconfig: str | None = None,
    *,
    context: str | None = None,
    remedy: str = SERVICE_REMEDY,
    retry: bool = True,
    connections: int | None = None,
) -> ApiClient:
    """Return a client. No request is sent.

    `context` names a context of the kubeconfig, `connections` limits the concurrent ones. Without
    `retry` a request that fails is an error at once. Raises KubeconfigError.
    """
    configuration = Configuration()
    paths = files(os.environ, kubeconfig=kubeconfig)
    if context is not None:  # the name of a context asks for a kubeconfig, in a pod too
        paths = paths or DEFAULT
    if paths is None:
        _load_account(configuration)
    else:
        _load_files(configuration, paths, context, remedy=remedy)
    if not retry:
        configuration.retries = False
    if connections is not None:
        configuration.connection_pool_maxsize = connections
    try:
        return ApiClient(configuration)
    except (OSError, ValueError) as error:
        raise KubeconfigError("the certificates of the kubeconfig can't be read as PEM") from error


def _load_files(
    configuration: Configuration, paths: str, context: str | None, *, remedy: str
) -> None:
    with explained(paths, remedy=remedy), _complaints() as complaints:
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=paths, context=context, client_configuration=configuration
            )
        except config.ConfigException as error:
            raise KubeconfigError(f"kubeconfig {paths}: {_explanation(str(error))}") from error
    if complaints:
        raise KubeconfigError(f"kubeconfig {paths}: the credential plugin failed: {complaints[0]}")


def _explanation(message: str) -> str:
    """Return the library's message, unless it might quote the kubeconfig."""
    missing = _NO_SUCH.fullmatch(message.removeprefix("Invalid kube-config file. "))
    if missing:
        return f"there is no {missing[1]} in its {missing[2]}"
    if "current-context" in message:
        return "it has no current-context: run kubectl config use-context NAME"
    return "it is not complete, or names a file that does not exist"


def _load_account(configuration: Configuration) -> None:
    try:
        config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise KubeconfigError(
            "the ServiceAccount of the pod can't be used: no token is mounted"
        ) from error


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what the library logs where it should raise: a credential plugin that fails."""
    messages: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage().strip().partition("\n")[0])

    listener = Listener(logging.ERROR)
    logging.getLogger().addHandler(listener)
    try:
        yield messages
    finally:
        logging.getLogger().removeHandler(listener)
