"""Where the API server is and how to authenticate to it."""

import os

import kopf
from tradingbot_kubeconfig.source import KubeconfigError, explained
from tradingbot_kubeconfig.source import files as kubeconfig_files


class LoginError(RuntimeError):
    """No credentials for a cluster were found, or the kubeconfig can't be read."""


async def login() -> kopf.ConnectionInfo:
    """Return the connection of the kubeconfig or of the pod's ServiceAccount."""
    settings = kopf.OperatorSettings()
    paths = kubeconfig_files(os.environ)
    try:
        if paths is None:
            found = kopf.login_with_service_account(settings=settings)
        else:
            with explained(paths, remedy="set KUBECONFIG, or run in a pod"):
                found = kopf.login_with_kubeconfig(settings=settings)
    except kopf.LoginError as error:
        raise LoginError(f"kubeconfig {paths} has no current-context") from error
    except KubeconfigError as error:
        raise LoginError(str(error)) from error
    if found is None:
        raise LoginError("the ServiceAccount of the pod can't be used: no token is mounted")
    return found
