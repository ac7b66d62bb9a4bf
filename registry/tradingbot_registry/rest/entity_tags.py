"""Entity tags, `If-Match` and `If-None-Match` (RFC 9110, 8.8.3 and 13.1).

An asset's tag is its mark: the version, and a digest if other assets degrade it. A precondition of
a write compares versions alone.
"""

import re

from flask import Request, Response

from tradingbot_registry.inventory.precondition import Precondition, Versions
from tradingbot_registry.inventory.record import MARK_DIGITS, Record
from tradingbot_registry.rest.problems import MalformedError

ANY = "*"

_TAG = '(W/)?"[!#-~]*"'
LIST_PATTERN = rf"^(\*|{_TAG}(, ?{_TAG})*)$"
"""What the document says of a header with `*` or entity tags: tags of ASCII, as the registry's."""

_ELEMENT = re.compile(r'[ \t]*(?:(?P<weak>W/)?"(?P<tag>[!\x23-\x7e\x80-\xff]*)"[ \t]*)?(?:,|\Z)')
_MARK = re.compile(rf"(?P<version>[1-9][0-9]{{0,17}})(?:-[0-9a-f]{{{MARK_DIGITS}}})?")


def parse(header: str) -> list[tuple[bool, str]] | None:
    """Return the tags of a list, each with whether it is weak; None if it is not a list of tags."""
    found: list[tuple[bool, str]] = []
    position = 0
    while position < len(header):
        element = _ELEMENT.match(header, position)
        if element is None:
            return None
        if element["tag"] is not None:
            found.append((element["weak"] is not None, element["tag"]))
        position = element.end()
    return found or None


def precondition(request: Request) -> Precondition:
    """Return the precondition in the headers of a write. Raises MalformedError.

    `If-Match` compares strongly and `If-None-Match` weakly, as the RFC says.
    """
    return Precondition(
        only_if=_versions(request, "If-Match", weak=False),
        unless=_versions(request, "If-None-Match", weak=True),
    )


def _versions(request: Request, name: str, *, weak: bool) -> Versions | None:
    header = request.headers.get(name)
    if header is None:
        return None
    if header.strip(" \t") == ANY:
        return Versions(any=True)
    tags = parse(header)
    if tags is None:
        raise MalformedError(f'{name} must be "*" or a list of entity tags, each in double quotes')
    marks = [_MARK.fullmatch(tag) for is_weak, tag in tags if weak or not is_weak]
    return Versions(frozenset(int(mark["version"]) for mark in marks if mark))


def tagged(asset: Record) -> dict[str, str]:
    """Return the headers of an answer that shows the asset."""
    return {"ETag": f'"{asset.mark}"'}


def not_modified(request: Request, asset: Record) -> Response | None:
    """Return 304 if the client has this version; a weak tag is as good.

    A malformed header counts as none: the answer is then a whole one.
    """
    header = request.headers.get("If-None-Match")
    if header is None:
        return None
    if header.strip(" \t") == ANY or asset.mark in {tag for _, tag in parse(header) or ()}:
        return without_body(304, tagged(asset))
    return None


def without_body(status: int, headers: dict[str, str] | None = None) -> Response:
    """Return an answer without a body, and so without a media type."""
    response = Response(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response
