"""Preconditions of a write (RFC 9110, 13.1)."""

from dataclasses import dataclass

from tradingbot_registry.problems import PreconditionFailedError

ANY = "*"


@dataclass(frozen=True, slots=True)
class Precondition:
    """`If-Match` and `If-None-Match: *` of a write.

    `if_match` holds strong entity tags, or `*`, or is None without the header. Only the version in
    a tag counts: the rest is the state of the dependencies, which must not make a client's edit
    fail.
    """

    if_match: frozenset[str] | None = None
    only_if_absent: bool = False

    def check(self, version: int | None) -> None:
        """Raise PreconditionFailedError unless `version` (None: no asset) matches."""
        if self.only_if_absent and version is not None:
            raise PreconditionFailedError(
                f"the asset exists already, in version {version}, and If-None-Match: * asks for"
                " it to be new"
            )
        if self.if_match is None:
            return
        if version is None:
            raise PreconditionFailedError("If-Match was sent, and there is no such asset")
        if ANY in self.if_match or str(version) in {tag.split("-")[0] for tag in self.if_match}:
            return
        raise PreconditionFailedError(
            f"If-Match does not name the current version, {version}: get the asset again, check"
            " what changed, and repeat the edit with its new ETag"
        )


UNCONDITIONAL = Precondition()
