"""What is wrong with an object, in the API server's own words.

The reasons and phrases follow `k8s.io/apimachinery/pkg/util/validation/field`, so that a denial by
the webhook reads like one by the API server and `kubectl` prints it as a list.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field as attribute
from enum import StrEnum
from typing import Self

from tradingbot_api.credentials import detect

MAX_LISTED = 100
"""Findings that are listed of one object: nobody reads more, and there could be 250,000."""
SHOWN_KEY = 128
"""Longer keys are cut in paths. No field and no valid key of the schema is as long."""
SHOWN_CHARACTERS = 64
"""Longer values are cut in messages: a denial is read in a terminal."""
SEARCHED_CHARACTERS = 1024
"""As much of a value is searched for a credential before its beginning is shown."""
SHOWN_BITS = 128
"""Python refuses to print integers of thousands of digits, and nobody wants to read them."""

NOT_SHOWN = "(not shown)"
"""In the place of a value that may be a credential."""

_JSON_TYPES = (
    (dict, "object"),
    (list, "array"),
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
)

Step = str | int
Path = tuple[Step, ...]
"""Where a value is: object keys and list indexes from the root, such as
`("spec", "schedule", "windows", 0, "end")`."""


class MapKey(str):
    """A step of a `Path` that is the key of a map and not the name of a field."""

    __slots__ = ()


class ErrorReason(StrEnum):
    """`causes[].reason` of a denial, as the API server names them."""

    REQUIRED = "FieldValueRequired"
    INVALID = "FieldValueInvalid"
    TYPE_INVALID = "FieldValueTypeInvalid"
    NOT_SUPPORTED = "FieldValueNotSupported"
    FORBIDDEN = "FieldValueForbidden"
    DUPLICATE = "FieldValueDuplicate"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"


def dotted(path: Path) -> str:
    """`path` as `kubectl` prints it: `spec.schedule.windows[0].end`, `spec.parameters[key]`."""
    text = ""
    for step in path:
        name = cut(str(step), SHOWN_KEY)
        if isinstance(step, int | MapKey):
            text += f"[{name}]"
        else:
            text += f".{name}" if text else name
    return _encodable(text)


def shown(value: object) -> str:
    """`value` as a message may show it: JSON, cut when long, never the inside of an object, and
    never a credential."""
    if isinstance(value, dict | list):
        return '"object"' if isinstance(value, dict) else '"array"'
    if isinstance(value, str):
        suspect = detect("", value[:SEARCHED_CHARACTERS])
        if suspect is not None and suspect.certain:
            return "(not shown)"
        value = cut(value, SHOWN_CHARACTERS)
    if isinstance(value, int) and value.bit_length() > SHOWN_BITS:
        return "(a huge number)"
    return _encodable(json.dumps(value, ensure_ascii=False, default=str))


def cut(text: str, length: int) -> str:
    """`text`, or its beginning where it is longer than `length`."""
    return text if len(text) <= length else text[:length] + "..."


def json_type(value: object) -> str:
    """Return the name of the JSON type of `value`, for a message that must not show the value."""
    return next((name for kind, name in _JSON_TYPES if isinstance(value, kind)), "null")


def _encodable(text: str) -> str:
    """`text` with lone surrogates, which JSON can escape and UTF-8 can't hold, written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One mistake: where it is, what kind it is, and what to do about it."""

    path: Path
    reason: ErrorReason
    message: str
    credential: bool = attribute(default=False, compare=False)
    """Whether the mistake is that the value is a credential."""

    @property
    def field(self) -> str:
        """The place as `kubectl` prints it."""
        return dotted(self.path)

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    @classmethod
    def required(cls, path: Path, detail: str = "") -> Self:
        """Report a required value that is missing."""
        return cls(path, ErrorReason.REQUIRED, "Required value" + (f": {detail}" if detail else ""))

    @classmethod
    def invalid(cls, path: Path, value: object, detail: str, *, sensitive: bool = False) -> Self:
        """Report a value of the right type that is not valid; a `sensitive` one is not shown."""
        text = NOT_SHOWN if sensitive else shown(value)
        return cls(path, ErrorReason.INVALID, f"Invalid value: {text}: {detail}")

    @classmethod
    def type_invalid(cls, path: Path, value: object, wanted: str, *, sensitive: bool) -> Self:
        """Report a value of another type than the schema's."""
        text = NOT_SHOWN if sensitive else shown(value)
        return cls(path, ErrorReason.TYPE_INVALID, f"Invalid value: {text}: must be {wanted}")

    @classmethod
    def not_supported(cls, path: Path, value: object, supported: Iterable[str]) -> Self:
        """Report a value that is not in an enumeration."""
        values = ", ".join(f'"{name}"' for name in supported)
        message = f"Unsupported value: {shown(value)}: supported values: {values}"
        return cls(path, ErrorReason.NOT_SUPPORTED, message)

    @classmethod
    def forbidden(cls, path: Path, detail: str, *, credential: bool = False) -> Self:
        """Report a field that must not be set, or not to this value."""
        return cls(path, ErrorReason.FORBIDDEN, f"Forbidden: {detail}", credential)

    @classmethod
    def duplicate(cls, path: Path, value: object) -> Self:
        """Report a value that occurs twice in a set."""
        return cls(path, ErrorReason.DUPLICATE, f"Duplicate value: {shown(value)}")

    @classmethod
    def too_long(cls, path: Path, limit: int) -> Self:
        """Report a string of more than `limit` characters."""
        message = f"Too long: may not be more than {limit} characters"
        return cls(path, ErrorReason.TOO_LONG, message)

    @classmethod
    def too_large(cls, path: Path, size: int, limit: int) -> Self:
        """Report a value that takes more than `limit` bytes in the API server's storage."""
        message = f"Too long: may not take more than {limit} bytes of storage, takes {size}"
        return cls(path, ErrorReason.TOO_LONG, message)

    @classmethod
    def too_many(cls, path: Path, count: int, limit: int) -> Self:
        """Report a list or map of more than `limit` items."""
        message = f"Too many: {count}: must have at most {limit} items"
        return cls(path, ErrorReason.TOO_MANY, message)

    @classmethod
    def and_more(cls, path: Path) -> Self:
        """Return the last entry of a list that is cut."""
        message = f"Too many: more than {MAX_LISTED} mistakes; these are the first"
        return cls(path, ErrorReason.TOO_MANY, message)


@dataclass(frozen=True, slots=True)
class FieldWarning:
    """Something that is allowed and probably not meant: one short sentence that says what to do."""

    path: Path
    message: str

    @property
    def field(self) -> str:
        """The place as `kubectl` prints it."""
        return dotted(self.path)

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    @classmethod
    def and_more(cls, path: Path) -> Self:
        """Return the last entry of a list that is cut."""
        return cls(path, f"more than {MAX_LISTED} warnings; these are the first")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What admission says of one object."""

    errors: tuple[FieldError, ...] = ()
    warnings: tuple[FieldWarning, ...] = ()
    malformed: bool = False
    """Some error is one that the CRD's own schema refuses too: of shape, of what stands twice, of
    what may not change."""

    @property
    def allowed(self) -> bool:
        """Whether the object may be stored."""
        return not self.errors
