"""Requests to the API server, and how answers become facts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from tradingbot_api.model import JsonObject
from urllib3.exceptions import HTTPError

from tradingbot_cli.doctor.access import NoAccessError
from tradingbot_cli.doctor.expected import Right
from tradingbot_cli.doctor.facts import Reply, Seen, Unseen

TIMEOUT = 10.0
"""Seconds that one question may take. More than the 5 s that the API server gives a webhook."""

_MOST_TEXT = 600
# ApiException without a status is a failure of TLS.
_NO_ANSWER = (ApiException, HTTPError, OSError, ValueError)
# urllib3's messages begin with the connection, which our message names already.
_CONNECTION = re.compile(r"^(<.*?>|\w+\(.*?\)): ")
_OK, _CREATED = 200, 201
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_REVIEWS = "/apis/authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `body` is empty if it is not a JSON object."""

    status: int
    text: str
    body: JsonObject = field(default_factory=dict)
    date: datetime | None = None

    @property
    def message(self) -> str:
        said = self.body.get("message") or self.body.get("detail") or self.text
        return str(said)[:_MOST_TEXT].strip()

    @property
    def reply(self) -> Reply:
        return Reply(self.status, self.message, self.body)


class Cluster:
    """The API server, with the caller's credentials. Safe to use from several threads."""

    def __init__(self, client: ApiClient) -> None:
        self.client = client

    @property
    def server(self) -> str:
        return str(self.client.configuration.host)

    def introduce(self) -> Answer:
        """Send the first request. Raises NoAccessError with what the caller can fix."""
        try:
            answer = self._ask("GET", "/version")
            # /version needs no permission; this path does.
            known = self._ask("POST", f"{_REVIEWS}/selfsubjectaccessreviews", _self_review("get"))
        except _NO_ANSWER as error:
            raise NoAccessError(f"{self.server} does not answer: {why(error)}") from error
        if _UNAUTHORIZED in {answer.status, known.status}:
            raise NoAccessError(
                f"{self.server} does not accept these credentials (401): log in again"
            )
        if "gitVersion" not in answer.body and answer.status != _FORBIDDEN:
            raise NoAccessError(f"{self.server} answers, but is not a Kubernetes API server")
        return answer

    def get(self, path: str, **query: str) -> Seen:
        """Return an object or list, None if it does not exist, or Unseen."""
        answer = self.ask("GET", path + (f"?{urlencode(query)}" if query else ""))
        if isinstance(answer, Unseen):
            return answer
        if answer.status == _OK:
            return answer.body
        if answer.status == _NOT_FOUND:
            return None
        if answer.status == _FORBIDDEN:
            return Unseen(f"permission denied: {answer.message}")
        return Unseen(f"the API server answered {answer.status}: {answer.message}")

    def ask(self, method: str, path: str, body: JsonObject | None = None) -> Answer | Unseen:
        """Return any answer; Unseen if there is none."""
        try:
            return self._ask(method, path, body)
        except _NO_ANSWER as error:
            return Unseen(f"the API server does not answer: {why(error)}")

    def may_account(self, right: Right, *, namespace: str) -> bool | Unseen:
        """Whether a ServiceAccount of `namespace` has the right."""
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        spec = {
            "user": f"system:serviceaccount:{namespace}:{right.account}",
            "groups": [*groups, "system:authenticated"],
            "resourceAttributes": _attributes(right),
        }
        return self._review("subjectaccessreviews", "SubjectAccessReview", spec)

    def may_i(self, right: Right) -> bool | Unseen:
        """Whether the caller has the right. The account of the right is ignored."""
        spec = {"resourceAttributes": _attributes(right)}
        return self._review("selfsubjectaccessreviews", "SelfSubjectAccessReview", spec)

    def _review(self, resource: str, kind: str, spec: JsonObject) -> bool | Unseen:
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        answer = self.ask("POST", f"{_REVIEWS}/{resource}", body)
        if isinstance(answer, Unseen):
            return answer
        if answer.status == _CREATED:
            return answer.body.get("status", {}).get("allowed") is True
        if answer.status == _FORBIDDEN:
            return Unseen("permission denied: you may not create subjectaccessreviews")
        return Unseen(f"the API server answered {answer.status}: {answer.message}")

    def _ask(self, method: str, path: str, body: JsonObject | None = None) -> Answer:
        request = self.client.param_serialize(
            method,
            path,
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = self.client.call_api(*request, _request_timeout=TIMEOUT)
        data: bytes = response.read()  # type: ignore[no-untyped-call]
        headers: Mapping[str, str] = response.headers
        text = data.decode("utf-8", "replace")
        return Answer(int(response.status), text, _object(text), _date(headers.get("Date")))


def segment(name: str) -> str:
    """Escape a name for use in a path."""
    return quote(name, safe="")


def why(error: Exception) -> str:
    """Return the innermost reason of a failed request, in one line."""
    inner: BaseException = error
    while isinstance(reason := getattr(inner, "reason", None), BaseException):
        inner = reason
    # The `reason` of the library's own exception is text; its last line is the cause.
    lines = str(getattr(inner, "reason", "") or inner).splitlines() or [""]
    said = _CONNECTION.sub("", lines[-1])
    return said[:_MOST_TEXT] or type(inner).__name__


def _self_review(verb: str) -> JsonObject:
    attributes = {"group": "trading.io", "resource": "tradingbots", "verb": verb}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }


def _attributes(right: Right) -> JsonObject:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "verb": right.verb,
        "namespace": right.namespace,
        "name": right.name,
    }
    return {key: value for key, value in attributes.items() if value}


def _object(text: str) -> JsonObject:
    try:
        loaded: Any = json.loads(text)
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _date(header: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(header).astimezone(UTC) if header else None
    except ValueError:
        return None
