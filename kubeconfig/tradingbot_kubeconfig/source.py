"""Where a process takes its access to the cluster from, and what can be wrong with a kubeconfig."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

DEFAULT = "~/.kube/config"


class KubeconfigError(RuntimeError):
    """Raised when there is no access to a cluster, or the kubeconfig can't be used.

    One line. Never quotes a value of a kubeconfig: it may be a token.
    """


def files(environment: Mapping[str, str], *, kubeconfig: str | None = None) -> str | None:
    """Return the kubeconfig files, separated as in KUBECONFIG. None: use the pod's ServiceAccount.

    The order is kubectl's: what is given, then KUBECONFIG, then the pod, then ~/.kube/config.
    """
    named = kubeconfig or environment.get("KUBECONFIG")
    if named:
        return named
    return None if environment.get("KUBERNETES_SERVICE_HOST") else DEFAULT


@contextmanager
def explained(paths: str, *, remedy: str) -> Iterator[None]:
    """Raise KubeconfigError for whatever goes wrong while `paths` are read.

    `remedy` says how a caller names another file.
    """
    if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path):
        raise KubeconfigError(f"there is no kubeconfig at {paths}: {remedy}")
    try:
        yield
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise KubeconfigError(f"kubeconfig {paths} is not valid YAML (line {line})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"kubeconfig {paths} is not valid YAML") from error
    except OSError as error:
        raise KubeconfigError(f"kubeconfig {paths} can't be read: {error.strerror}") from error
    # The libraries expect that each YAML file has the structure of a kubeconfig.
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise KubeconfigError(
            f"kubeconfig {paths} does not have the structure of a kubeconfig"
        ) from error
