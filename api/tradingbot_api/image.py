"""OCI image references, by the grammar of the `distribution` project's `reference` package."""

import re
from functools import lru_cache

MAX_REPOSITORY = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<repository>(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    rf"(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)
_DOCKER_HUB = ("docker.io/", "index.docker.io/")
_HEX_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
_LOWER_HEX = re.compile(r"[0-9a-f]+", re.ASCII)


@lru_cache(maxsize=1024)
def image_problem(text: str) -> str | None:
    """Return why `text` is not an image reference, or None if it is one.

    Cached, because each webhook checks the image of each bot.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return (
            "must be an image reference such as registry.example.com/team/bot:1.4.2 (repository in"
            " lower case, no blanks, tag of at most 128 letters, digits, '_', '.' and '-')"
        )
    algorithm, _, digits = (match["digest"] or "").partition(":")
    wanted = _HEX_DIGITS.get(algorithm)
    if algorithm and wanted is None:
        return f"has a digest of another algorithm than {', '.join(_HEX_DIGITS)}"
    if algorithm and not (len(digits) == wanted and _LOWER_HEX.fullmatch(digits)):
        return f"has a digest that is not {algorithm}: followed by {wanted} lower-case hex digits"
    if len(match["repository"]) > MAX_REPOSITORY:
        return f"has a repository name of more than {MAX_REPOSITORY} characters"
    return None


@lru_cache(maxsize=1024)
def repository(text: str) -> str | None:
    """Return the repository of a reference, without tag and digest; None if it is not a reference.

    Docker Hub has one spelling, the shortest: `docker.io/library/bot` is `bot`.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    name = match["repository"]
    for host in _DOCKER_HUB:
        if name.startswith(host):
            return name.removeprefix(host).removeprefix("library/")
    return name


def is_pinned(text: str) -> bool:
    """Whether the reference names one version: a digest, or a tag other than `latest`."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and (
        match["digest"] is not None or match["tag"] not in {None, "latest"}
    )
