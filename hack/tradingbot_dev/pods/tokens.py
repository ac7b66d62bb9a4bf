"""Tokens of service accounts in volumes, requested as the kubelet requests them."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from tradingbot_dev.pods.apiserver import ApiServer
from tradingbot_dev.pods.volumes import TokenRequest

JsonObject = dict[str, Any]

RENEWED_AFTER = 0.8
"""Of its lifetime."""


class Tokens:
    """The tokens of one pod."""

    def __init__(self, api: ApiServer, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._clock = clock
        self._known: dict[TokenRequest, tuple[str, datetime]] = {}

    async def current(
        self, pod: JsonObject, requests: Iterable[TokenRequest]
    ) -> Mapping[TokenRequest, str]:
        """Return a token for each request, a new one if the known one is old. Raises ApiError."""
        for request in requests:
            _, due = self._known.get(request, ("", self._clock()))
            if self._clock() >= due:
                renewed = self._clock() + timedelta(seconds=request.seconds * RENEWED_AFTER)
                self._known[request] = (await self._request(pod, request), renewed)
        return {request: token for request, (token, _) in self._known.items()}

    async def _request(self, pod: JsonObject, request: TokenRequest) -> str:
        metadata, account = pod["metadata"], pod["spec"].get("serviceAccountName", "default")
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
        spec = {
            "audiences": [request.audience] if request.audience else [],
            "expirationSeconds": request.seconds,
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        }
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = await self._api.post(path, body)
        return str(answer["status"]["token"])
