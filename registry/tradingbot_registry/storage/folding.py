"""Text to search in: without regard to case, in every alphabet, and to how characters are coded."""

import unicodedata

SEPARATOR = "\x1f"
"""Between name and description, so that no text matches across them."""


def folded(text: str) -> str:
    """Return the text such that two texts that differ in case or coding alone are equal."""
    text = text.replace(SEPARATOR, " ")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def search_text(name: str, description: str) -> str:
    """Return the stored text in which an asset is searched for."""
    return folded(name) + SEPARATOR + folded(description)


PART = 3
"""Characters of the parts by which a text is found in an index."""


def parts(text: str) -> set[str]:
    """Return all parts of the text: none of a text that is shorter."""
    return {text[place : place + PART] for place in range(len(text) - PART + 1)}
