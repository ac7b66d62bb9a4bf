"""Calls to the registry's REST API, and what it refuses in sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from tradingbot_api.asset import REFERENCE_PATTERN
from tradingbot_api.model import JsonObject

from tradingbot_cli.assets.transport import AccessError, Answer, Request, Transport
from tradingbot_cli.errors import CommandError

PAGE = 500
_BY_REF = "assets/by-ref/"
_REFERENCE = re.compile(REFERENCE_PATTERN)
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CREATED, _NOT_FOUND, _FIRST_ERROR = 201, 404, 300

Query = tuple[tuple[str, str], ...]


class RefusedError(CommandError):
    """Raised when the registry refuses a request. The text has a line for each mistake."""

    def __init__(self, status: int, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.status = status


class TargetError(CommandError):
    """Raised for what names no asset: neither an id nor a reference."""


def asset_path(target: str) -> str:
    """Return the path of an asset that is named by its id or reference. Raises TargetError."""
    if _UUID.fullmatch(target):
        return f"assets/{target.lower()}"
    if _REFERENCE.fullmatch(target):
        return _BY_REF + quote(target)
    raise TargetError(
        f"{target!r} is neither the id of an asset nor a reference SOURCE/NAMESPACE/NAME"
    )


class Registry:
    """A registry, reached in one of the ways."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def assets(self, query: Query, *, limit: int | None = None) -> Iterator[list[JsonObject]]:
        """Yield pages of assets, at most `limit` of them."""
        cursor, left = "", limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            paging = (("page_size", str(size)), *((("cursor", cursor),) if cursor else ()))
            answer = self._ask(Request("GET", "assets", (*query, *paging)))
            page = answer.json
            if not isinstance(page, list):
                raise _not_a_registry(answer)
            yield page
            left = None if left is None else left - len(page)
            cursor = _next_cursor(answer)
            if not cursor:
                return

    def get(self, target: str) -> JsonObject:
        """Return one asset. Raises TargetError or RefusedError."""
        return _asset(self._ask(Request("GET", asset_path(target))))

    def find(self, target: str) -> JsonObject | None:
        """Return one asset, or None if it does not exist."""
        try:
            return self.get(target)
        except RefusedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def graph(self, query: Query) -> str:
        """Return a part of the graph in the format of the query."""
        return self._ask(Request("GET", "graph", query)).body.decode()

    def create(self, reference: str, body: JsonObject) -> JsonObject:
        """Create the asset with that reference, for users to manage."""
        path = asset_path(reference)
        return _asset(self._ask(Request("PUT", path, body={**body, "managedBy": "user"})))

    def replace(self, asset_id: str, body: JsonObject) -> JsonObject:
        """Replace an asset as a user: the registry refuses what its controller would revert."""
        return _asset(self._ask(Request("PUT", f"assets/{asset_id}", body=body)))

    def delete(self, target: str, query: Query, *, as_owner: bool = False) -> Any:
        """Delete an asset, and return what a dry run answers.

        As a user: the registry refuses the assets of controllers, unless `as_owner` is given.
        """
        path = asset_path(target)
        if not as_owner and path.startswith(_BY_REF):
            path = f"assets/{self.get(target)['id']}"
        return self._ask(Request("DELETE", path, query)).json

    def _ask(self, request: Request) -> Answer:
        answer = self._transport.send(request)
        if answer.status >= _FIRST_ERROR:
            raise RefusedError(answer.status, sentences(answer))
        return answer


def sentences(answer: Answer) -> list[str]:
    """Return a line for each mistake of a problem; for another answer one line."""
    problem = answer.json
    if not isinstance(problem, dict) or "detail" not in problem:
        return [f"the server answered {answer.status}, and is not a registry: check the URL"]
    found = [
        f"{error.get('pointer') or error.get('parameter') or '/'}: {error.get('detail')}"
        for error in problem.get("errors") or ()
        if isinstance(error, dict)
    ]
    lines = found or [str(problem["detail"])]
    blockers = [each for each in problem.get("blockers") or () if isinstance(each, dict)]
    lines += list(_names(blockers, problem.get("total")))
    request = problem.get("request_id")
    if answer.status >= _SERVER_ERROR and request:
        lines.append(f"request {request} in the registry's log")
    return lines


_SERVER_ERROR = 500


def _names(blockers: Iterable[JsonObject], total: Any) -> Iterator[str]:
    count = 0
    for blocker in blockers:
        count += 1
        yield f"  {blocker.get('externalRef') or blocker.get('id')}  {blocker.get('name')}"
    if isinstance(total, int) and total > count > 0:
        yield f"  and {total - count} more"


def _asset(answer: Answer) -> JsonObject:
    asset = answer.json
    if not isinstance(asset, dict) or "id" not in asset:
        raise _not_a_registry(answer)
    return asset


def _next_cursor(answer: Answer) -> str:
    try:
        return str(json.loads(answer.headers["X-Pagination"])["next_cursor"] or "")
    except (KeyError, TypeError, ValueError) as error:
        raise _not_a_registry(answer) from error


def _not_a_registry(answer: Answer) -> AccessError:
    return AccessError(f"the server is not a registry: its answer {answer.status} has no assets")
