"""What a client says an asset must still be for its write to go through (RFC 9110, 13.1)."""

from dataclasses import dataclass

from tradingbot_registry.problems import PreconditionFailedError

ANY = "*"


@dataclass(frozen=True, slots=True)
class Condition:
    """`If-Match` and `If-None-Match: *` of a write.

    `if_match` holds strong entity tags, or `*`, or is None without the header. Of a tag only the
    version counts: the rest says how the asset's dependencies are, and their trouble must not
    make a client's edit fail.
    """

    if_match: frozenset[str] | None = None
    only_if_absent: bool = False

    def check(self, version: int | None) -> None:
        """Raise PreconditionFailedError unless an asset of `version` (None: no asset) will do."""
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
            f"If-Match does not name the current version, {version}: get the asset again, look at"
            " what changed, and repeat the edit with its new ETag"
        )


UNCONDITIONAL = Condition()
