"""YAML that a user wrote: every mistake in it becomes one kind of error, with one line of text."""

import yaml


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
