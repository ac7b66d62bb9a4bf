"""Whether a Secret exists, asked of the API server within half a second or not at all.

Only metadata is asked for, and the answer's body is dropped unread by this program. The library's
blocking client is used from a few threads: its asynchronous one costs 18 MB more in each process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from kubernetes import config as kube_config
from kubernetes.client import ApiClient, Configuration
from urllib3.exceptions import HTTPError

logger = logging.getLogger(__name__)

TIMEOUT = 0.5
"""Seconds that a look-up may add to a review."""

FOUND_FOR = 30.0
"""Seconds for which a Secret that was found is taken to be there."""

_MAX_CACHED = 1024
_THREADS = 4
_ACCEPT = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_OK, _NOT_FOUND = 200, 404


class KubernetesSecretLookup:
    """Looks Secrets up through `client`. Failures are logged once until a look-up succeeds."""

    def __init__(
        self, client: ApiClient, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="secret-lookup")
        self._monotonic = monotonic
        self._found: dict[tuple[str, str], float] = {}
        self._waiting = 0
        self._failing = False

    def remembers(self, namespace: str, name: str) -> bool:
        """Whether it was found in the last FOUND_FOR seconds."""
        return self._found.get((namespace, name), 0.0) > self._monotonic()

    async def exists(self, namespace: str, name: str) -> bool | None:
        """True or False; None if the API server did not say within TIMEOUT."""
        if self.remembers(namespace, name):
            return True
        key = (namespace, name)
        if self._waiting >= _THREADS * 4:
            return None  # an API server this slow is not helped by more questions
        self._waiting += 1
        task = asyncio.get_running_loop().run_in_executor(self._threads, self._status, *key)
        task.add_done_callback(self._done)
        try:
            status = await asyncio.wait_for(asyncio.shield(task), TIMEOUT)
        except (TimeoutError, HTTPError, OSError) as error:
            self._failed(type(error).__name__)
            return None
        if status == _OK:
            self._remember(key)
        elif status != _NOT_FOUND:
            self._failed(f"the API server answered {status}")
            return None
        self._failing = False
        return status == _OK

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _status(self, namespace: str, name: str) -> int:
        """The HTTP status of a GET of the Secret's metadata. Blocks; runs in a thread."""
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets/{quote(name, safe='')}"
        request = self._client.param_serialize(
            "GET", path, header_params={"Accept": _ACCEPT}, auth_settings=["BearerToken"]
        )
        response = self._client.call_api(*request, _request_timeout=TIMEOUT)
        # To the end, so that the connection can be used again.
        response.read()  # type: ignore[no-untyped-call]
        return int(response.status)

    def _done(self, task: asyncio.Future[int]) -> None:
        self._waiting -= 1
        if not task.cancelled():
            task.exception()  # one that came too late for anybody to await

    def _remember(self, key: tuple[str, str]) -> None:
        if len(self._found) >= _MAX_CACHED:
            self._found.clear()
        self._found[key] = self._monotonic() + FOUND_FOR

    def _failed(self, reason: str) -> None:
        if not self._failing:
            logger.warning("Secrets can't be looked up, so nobody is warned: %s", reason)
        self._failing = True


def connect() -> KubernetesSecretLookup | None:
    """A look-up with the pod's service account or KUBECONFIG; None, with a log line, if neither."""
    configuration = Configuration()
    try:
        if os.environ.get("KUBERNETES_SERVICE_HOST"):
            kube_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            kube_config.load_kube_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
    except (kube_config.ConfigException, OSError) as error:
        logger.info("Secrets are not looked up: %s", error)
        return None
    # A review that waits for a retry is a review that is too late.
    configuration.retries = False
    configuration.connection_pool_maxsize = _THREADS
    return KubernetesSecretLookup(ApiClient(configuration))
