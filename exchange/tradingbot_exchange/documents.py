"""Documents that a user wrote: every mistake in one becomes an error with one line of text."""

from collections.abc import Sequence

import yaml

_LONGEST_NAME = 60
_MOST_PROBLEMS = 10


class YamlError(ValueError):
    """The text is not YAML, or is nested too deeply. `line` counts from 1; None if unknown."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


def load(content: bytes) -> object:
    """Return the document in a text. Raises YamlError."""
    try:
        return yaml.safe_load(content)
    except RecursionError as error:
        raise YamlError("is nested too deeply") from error
    except yaml.reader.ReaderError as error:
        raise YamlError(f"is not YAML: {error.reason} at position {error.position}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it can't be parsed"
        line = None if mark is None else mark.line + 1
        raise YamlError(f"is not YAML: {problem}", line) from error
    # PyYAML converts without a check of its own: month 13, a number of 5000 digits, `!!bool x`.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise YamlError("is not YAML: a number, a date or a tagged value in it is wrong") from error


def printable(part: object) -> str:
    """Return a name from a document as a part of a line of text."""
    text = str(part)
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."


def listed(problems: Sequence[str]) -> str:
    """Return the problems of a document in one line, the first ones if there are many."""
    more = len(problems) - _MOST_PROBLEMS
    return "; ".join(problems[:_MOST_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
