"""The two forms of a rule over more than one field, and findings that several rules have."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradingbot_api.credentials import Suspect
from tradingbot_api.errors import FieldError, FieldWarning, Path

Finding = FieldError | FieldWarning

EACH = "*"
"""In what a rule needs: every item of the list that the path has led to."""


@dataclass(frozen=True)
class Rule:
    """A check over a typed spec at a given time.

    It is asked only when every value under `needs` is of the right shape, so that one mistake is
    not reported twice, and an update that changes nothing under `needs` can't have broken it.
    """

    needs: tuple[Path, ...]
    check: Callable[[Any, datetime], Iterator[Finding]]


@dataclass(frozen=True)
class ItemRule:
    """A check over each item of the list or map at `items`, which concerns nothing beside it.

    It is asked of every item whose own values under `needs` are of the right shape (all of it, if
    there are none), whatever is wrong with the others; an update that changes nothing of these
    can't have broken it.
    """

    items: Path
    check: Callable[[Path, Any, datetime], Iterator[Finding]]
    """Takes the place of the item, the item, and the time."""
    needs: tuple[str, ...] = ()
    clean: Callable[[Any], bool] | None = None
    """Whether a spec without a mistake of shape has plainly nothing in this list or map that would
    be found. It is asked first, being faster than to ask of each item."""


def always(_: Any) -> bool:
    """Return True: the part is the whole spec."""
    return True


def never(_: Any) -> bool:
    """Return False: the schema accepts whatever the rules find."""
    return False


@dataclass(frozen=True)
class Part:
    """The rules about a part of a spec. They are not asked of a spec without that part, as most
    specs are."""

    rules: tuple[Rule | ItemRule, ...]
    is_in: Callable[[Any], bool] = always
    """Whether a spec, typed as far as it is valid, has the part."""
    breaks_schema: Callable[[Any], bool] = never
    """Whether the schema refuses the creation of a spec that has the part, and whose every field
    has the right form."""


def paths(*names: str) -> tuple[Path, ...]:
    """Paths below `spec` from their dotted form: `paths("exchange.name", "assets.*.tags")`."""
    return tuple(("spec", *name.split(".")) for name in names)


def touches(path: Path, need: Path) -> bool:
    """Whether one of the paths is, or holds, the other."""
    return all(
        step == other or (other == EACH and isinstance(step, int))
        for step, other in zip(path, need, strict=False)
    )


def duplicates(values: Iterable[str], place: Callable[[int], Path]) -> Iterator[FieldError]:
    """Report each value that repeats an earlier one. `place` returns the path of the nth."""
    seen = set()
    for index, value in enumerate(values):
        if value in seen:
            yield FieldError.duplicate(place(index), value)
        seen.add(value)


def credential(where: Path, suspect: Suspect, instead: str) -> Finding:
    """Return what to say of a value that looks like a credential, and what to do `instead`."""
    if suspect.certain:
        return FieldError.forbidden(where, f"{suspect.why}; {instead}", credential=True)
    return FieldWarning(where, f"{suspect.why}; if it is a credential, {instead}")
