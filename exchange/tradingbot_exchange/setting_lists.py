"""Lists in settings: a flag that is repeated, a variable with commas, or both."""


def split(value: object) -> object:
    """Return the parts of one text or of several. Other values stay, for pydantic to refuse."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        return value
    return tuple(part.strip() for text in texts for part in str(text).split(",") if part.strip())
