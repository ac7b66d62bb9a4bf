"""The texts of errors in documents that a user wrote: one line, however long the document is."""

from collections.abc import Sequence

_LONGEST_NAME = 60
_MOST_PROBLEMS = 10


def printable(part: object) -> str:
    """Return a name from a document as a part of a line of text."""
    text = str(part)
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."


def listed(problems: Sequence[str]) -> str:
    """Return the problems of a document in one line, the first ones if there are many."""
    more = len(problems) - _MOST_PROBLEMS
    return "; ".join(problems[:_MOST_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
