"""Find refused words in a text. Pure: what is read and printed is up to `__main__`.

In Python sources only comments and strings count, in Markdown everything but `inline code`: names
are the program's, and the program is checked where they are defined. A line with `words: allow` is
not checked, for a term of somebody else's that cannot be written otherwise.
"""

import io
import re
import tokenize
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ALLOWED_LINE = "words: allow"
# A generated text is checked at its source.
GENERATED_FILE = re.compile(
    r"(?:Generated from|Made from|Copied from) .*do not edit\b(?! from here)"
)
GENERATED_PART = re.compile(r"<!-- Generated from .*?<!-- to here -->", re.DOTALL)
INLINE_CODE = re.compile(r"(?<!`)`[^`\n]+`(?!`)")
GAP = r"(?:\s+(?:(?:#|//|\|)+\s+)?)"
TEXT_TOKENS = {
    number
    for name in ("COMMENT", "STRING", "FSTRING_MIDDLE", "TSTRING_MIDDLE")
    if (number := getattr(tokenize, name, None)) is not None
}

Span = tuple[int, int]


@dataclass(frozen=True)
class Refused:
    """One entry of the list."""

    words: re.Pattern[str]
    instead: str
    unless: re.Pattern[str] | None

    def found_in(self, text: str) -> Iterator[re.Match[str]]:
        """Yield each match that no match of `unless` contains."""
        allowed: list[Span] | None = None
        for match in self.words.finditer(text):
            if self.unless is not None:
                if allowed is None:
                    allowed = [one.span() for one in self.unless.finditer(text)]
                if _within(match.span(), allowed):
                    continue
            yield match


@dataclass(frozen=True, order=True)
class Finding:
    """A refused phrase at a line of a file, and what to write instead."""

    path: str
    line: int
    phrase: str
    instead: str

    def __str__(self) -> str:
        return f'{self.path}:{self.line}: "{self.phrase}": write: {self.instead}'


def read_list(text: str) -> tuple[Refused, ...]:
    """Return the entries of `refused.toml`. Raises ValueError for an invalid one."""
    entries = tomllib.loads(text)["refused"]
    for entry in entries:
        if unknown := entry.keys() - {"words", "instead", "unless"}:
            raise ValueError(f"refused.toml: unknown key {min(unknown)!r} in {entry}")
    return tuple(
        Refused(
            words=_pattern(entry["words"]),
            instead=entry["instead"],
            unless=_pattern(entry["unless"]) if "unless" in entry else None,
        )
        for entry in entries
    )


def check(path: str, text: str, refused: Iterable[Refused]) -> list[Finding]:
    """Return the refused phrases of one file, in order."""
    if GENERATED_FILE.search(text[:300]):
        return []
    if path.endswith(".md"):
        text = INLINE_CODE.sub(_blank, GENERATED_PART.sub(_blank, text))
    matches = [(entry, match) for entry in refused for match in entry.found_in(text)]
    if matches and path.endswith(".py"):
        # Few files get here, and to read the tokens of all takes seconds.
        prose = sorted(_prose(text))
        matches = [found for found in matches if _within(found[1].span(), prose)]
    starts = _line_starts(text)
    lines = text.splitlines()
    findings = []
    for entry, match in matches:
        line = bisect_right(starts, match.start())
        if ALLOWED_LINE not in lines[line - 1]:
            phrase = " ".join(re.sub(r"\n\s*(?:#|//)+", "\n", match[0]).split())
            findings.append(Finding(path, line, phrase, entry.instead))
    return sorted(findings)


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b{words.replace(' ', GAP)}\b", re.IGNORECASE)


def _within(span: Span, spans: Iterable[Span]) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in spans)


def _blank(match: re.Match[str]) -> str:
    """Return as many lines of nothing, so that the lines after it keep their numbers."""
    return re.sub(r"[^\n]", "\0", match[0])


def _prose(source: str) -> Iterator[Span]:
    """Yield where the comments and strings of a Python source are; adjacent comments are one."""
    starts = _line_starts(source)
    comment: Span | None = None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in TEXT_TOKENS:
            continue
        span = (
            starts[token.start[0] - 1] + token.start[1],
            starts[token.end[0] - 1] + token.end[1],
        )
        if token.type != tokenize.COMMENT:
            yield span
        elif comment is not None and not source[comment[1] : span[0]].strip():
            comment = (comment[0], span[1])
        else:
            if comment is not None:
                yield comment
            comment = span
    if comment is not None:
        yield comment


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer(r"\n", text))]
