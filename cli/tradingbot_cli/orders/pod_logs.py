"""The drop copy of a bot in a cluster: the log of the container `gateway` of its pods."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from kubernetes import config
from kubernetes.client import ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException
from tradingbot_api.gateway_pod import CONTAINER
from tradingbot_kubeconfig.client import connect as connect_client
from tradingbot_kubeconfig.source import DEFAULT, KubeconfigError, explained, files
from tradingbot_operator import BOT_LABEL
from urllib3.exceptions import HTTPError

from tradingbot_cli.errors import CommandError, UsageError

_CONNECT_SECONDS = 10.0
_QUIET_SECONDS = 7 * 86400.0
"""How long a gateway that is followed may say nothing."""
_REMEDY = "give --kubeconfig, set KUBECONFIG, or name a file with -f"
_FORBIDDEN, _UNAUTHORIZED, _NOT_FOUND = 403, 401, 404


class OrdersError(CommandError):
    """Raised when the drop copy of a bot can't be read. One line."""


class PodLogs:
    """The gateway's logs of one bot."""

    def __init__(self, client: ApiClient, namespace: str, bot: str) -> None:
        self._core = CoreV1Api(client)
        self._namespace = namespace
        self._bot = bot

    def pods(self) -> list[str]:
        """Return the names of the bot's pods that have a gateway, the oldest first.

        Raises OrdersError.
        """
        try:
            found: list[Any] = self._core.list_namespaced_pod(
                self._namespace,
                label_selector=f"{BOT_LABEL}={self._bot}",
                _request_timeout=_CONNECT_SECONDS,
            ).items
        except _NO_ANSWER as error:
            raise OrdersError(self._why(error, "list pods")) from error
        if not found:
            raise OrdersError(
                f"no pod of bot {self._bot!r} in namespace {self._namespace!r}; a gateway's log"
                " ends with its pod: is the bot paused, halted, or in another namespace (-n)?"
            )
        with_gateway = [pod for pod in found if CONTAINER in _containers(pod)]
        if not with_gateway:
            raise OrdersError(
                f"bot {self._bot!r} has no gateway: its riskManagement.enforcement is Bot, and no"
                " one sees its orders"
            )
        with_gateway.sort(key=lambda pod: pod.metadata.creation_timestamp)
        return [pod.metadata.name for pod in with_gateway]

    def lines(self, pod: str, *, since_seconds: int | None, follow: bool) -> Iterator[bytes]:
        """Yield the lines of a pod's gateway; with `follow`, until it ends. Raises OrdersError."""
        options: dict[str, Any] = {} if since_seconds is None else {"since_seconds": since_seconds}
        try:
            # The signature does not know raw answers.
            response: Any = self._core.read_namespaced_pod_log(
                pod,
                self._namespace,
                container=CONTAINER,
                follow=follow,
                _preload_content=False,
                _request_timeout=(_CONNECT_SECONDS, _QUIET_SECONDS if follow else _CONNECT_SECONDS),
                **options,
            )
            with closing(response):
                yield from response
        except _NO_ANSWER as error:
            raise OrdersError(self._why(error, f"read the log of pod {pod}")) from error

    def _why(self, error: Exception, what: str) -> str:
        where = f"in namespace {self._namespace!r}"
        if isinstance(error, ApiException):
            if error.status == _FORBIDDEN:
                return f"permission denied: you may not {what} {where} (pods, pods/log)"
            if error.status == _UNAUTHORIZED:
                return "the API server does not accept these credentials (401): log in again"
            if error.status == _NOT_FOUND:
                return f"can't {what} {where}: the pod is gone"
            return f"can't {what} {where}: {_message(error)}"
        reason: object = error
        while isinstance(inner := getattr(reason, "reason", None), BaseException):
            reason = inner
        return f"can't {what}: the API server does not answer: {type(reason).__name__}"


_NO_ANSWER = (ApiException, HTTPError, OSError)


def connect(kubeconfig: str | None, context: str | None) -> tuple[ApiClient, str]:
    """Return a client with the access of kubectl, and the namespace that kubectl would take.

    Raises UsageError.
    """
    paths = files(os.environ, kubeconfig=kubeconfig) or (DEFAULT if context else None)
    try:
        client = connect_client(kubeconfig, context=context, remedy=_REMEDY, retry=False)
        return client, _namespace(paths, context)
    except KubeconfigError as error:
        raise UsageError(str(error)) from error


def _namespace(paths: str | None, context: str | None) -> str:
    if paths is None:
        return "default"
    with explained(paths, remedy=_REMEDY):
        contexts, active = config.list_kube_config_contexts(config_file=paths)  # type: ignore[no-untyped-call]
        named = {each["name"]: each for each in contexts}
        chosen = active if context is None else named[context]
        return str(chosen["context"].get("namespace") or "default")


def _containers(pod: Any) -> set[str]:
    found = [*(pod.spec.containers or ()), *(pod.spec.init_containers or ())]
    return {container.name for container in found}


def _message(error: ApiException) -> str:
    try:
        said = json.loads(error.body or "")["message"]
    except (ValueError, KeyError, TypeError):
        said = error.reason
    return str(said).splitlines()[0][:600] if said else f"status {error.status}"
