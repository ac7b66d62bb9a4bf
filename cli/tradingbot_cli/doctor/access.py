"""The way to the API server: a kubeconfig, or a pod's own account."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

from tradingbot_cli.errors import CommandError

AT_A_TIME = 8
"""Requests."""

_DEFAULT = "~/.kube/config"
_NO_SUCH = re.compile(r"Expected object with name (\S+) in (?:.*/)?(\S+) list")


class NoAccessError(CommandError):
    """Raised when nothing can be looked at: no way to the cluster, no answer, an unknown caller."""


def connect(kubeconfig: str | None, context: str | None) -> ApiClient:
    """A client as kubectl would be one. Nothing is asked yet.

    Raises NoAccessError, never with what stands in a kubeconfig: that may be a token.
    """
    configuration = Configuration()
    if kubeconfig is None and context is None and _in_a_pod():
        _load_account(configuration)
    else:
        files = kubeconfig or os.environ.get("KUBECONFIG") or _DEFAULT
        _load_files(configuration, files, context)
    configuration.retries = False  # what is broken is to be seen, and at once
    configuration.connection_pool_maxsize = AT_A_TIME
    try:
        return ApiClient(configuration)
    except (OSError, ValueError) as error:
        raise NoAccessError("the kubeconfig's certificates can't be read as PEM") from error


def _load_files(configuration: Configuration, files: str, context: str | None) -> None:
    if not any(Path(one).expanduser().is_file() for one in files.split(os.pathsep) if one):
        raise NoAccessError(f"there is no kubeconfig at {files}: give --kubeconfig, or KUBECONFIG")
    try:
        with _complaints() as complaints:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=files, context=context, client_configuration=configuration
            )
    except config.ConfigException as error:
        raise NoAccessError(f"kubeconfig {files}: {_told(str(error))}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise NoAccessError(f"kubeconfig {files} is no YAML (line {line})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise NoAccessError(f"kubeconfig {files} is no YAML") from error
    except OSError as error:
        raise NoAccessError(f"kubeconfig {files} can't be read: {error.strerror}") from error
    # The library trusts that a file which is YAML has the form of a kubeconfig.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise NoAccessError(f"kubeconfig {files} has not the form of a kubeconfig") from error
    if complaints:
        raise NoAccessError(f"kubeconfig {files}: its plugin gave no credentials: {complaints[0]}")


def _told(message: str) -> str:
    """The library's message, unless it might quote the kubeconfig."""
    missing = _NO_SUCH.fullmatch(message.removeprefix("Invalid kube-config file. "))
    if missing:
        return f"there is no {missing[1]} in its {missing[2]}"
    if "current-context" in message:
        return "it has no current-context: give --context"
    return "it is not complete, or names a file that is not there"


def _load_account(configuration: Configuration) -> None:
    try:
        config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise NoAccessError("the pod's account can't be used: no token is mounted") from error


def _in_a_pod() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What the library logs where it should raise: a credential plugin that fails."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage().strip().partition("\n")[0])

    listener = Listener(logging.ERROR)
    logging.getLogger().addHandler(listener)
    try:
        yield said
    finally:
        logging.getLogger().removeHandler(listener)
