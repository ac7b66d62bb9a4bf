"""Preconditions of a write."""

from dataclasses import dataclass

from tradingbot_registry.refusals import PreconditionFailedError


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions that a precondition names. `any`: each one that an asset may have."""

    named: frozenset[int] = frozenset()
    any: bool = False

    def __contains__(self, version: object) -> bool:
        return self.any or version in self.named


@dataclass(frozen=True, slots=True)
class Precondition:
    """Which versions the asset must have for a write, and which it must not have.

    Only versions count: the state of the dependencies must not make a client's edit fail.
    """

    only_if: Versions | None = None
    unless: Versions | None = None

    def check(self, version: int | None) -> None:
        """Raise PreconditionFailedError unless `version` (None: no asset) matches."""
        if self.unless is not None and version is not None and version in self.unless:
            raise PreconditionFailedError(
                f"the asset exists in version {version}, which the request excludes"
            )
        if self.only_if is None:
            return
        if version is None:
            raise PreconditionFailedError(
                "the request is for an asset that exists, and there is none"
            )
        if version not in self.only_if:
            raise PreconditionFailedError(
                f"the request does not name the current version, {version}: get the asset again,"
                " check what changed, and repeat the edit with its new ETag"
            )


UNCONDITIONAL = Precondition()
