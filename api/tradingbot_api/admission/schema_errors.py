"""Schema errors: pydantic's errors in the API server's words."""

import difflib
from collections.abc import Callable, Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tradingbot_api.admission.fields import Place, fields_of, locate
from tradingbot_api.constraints import BROKEN_RULE, DecimalText
from tradingbot_api.credentials import names_credential
from tradingbot_api.errors import MAX_LISTED, SHOWN_KEY, FieldError, MapKey, Path, json_type
from tradingbot_api.model import Model

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "string_type": "a string",
    "string_unicode": "valid Unicode text",
    "invalid_key": "an object whose keys are strings",
}
_WANTED_CONTAINERS = {
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}


def schema_errors(model: type[Model], failure: ValidationError, root: Path) -> list[FieldError]:
    """Return the errors that `failure` has found in an object of `model` at `root`."""
    count = failure.error_count()
    hints = count <= MAX_LISTED  # where so much is unknown, nothing was misspelt
    return [
        _field_error(locate(model, detail["loc"]), detail, root, hints=hints)
        for detail in failure.errors(include_url=False)
    ]


def _field_error(where: Place, detail: ErrorDetails, root: Path, *, hints: bool) -> FieldError:
    path, kind, value = (*root, *where.path), detail["type"], detail["input"]
    constraint = where.value_type.constraint if where.value_type else None
    sensitive = (constraint is not None and constraint.sensitive) or _below_credential_key(path)
    if kind == "missing" or (value is None and kind != "extra_forbidden"):
        return FieldError.required(path)
    if where.value_type is not None and where.value_type.choices:
        return FieldError.not_supported(path, value, where.value_type.choices)
    if isinstance(constraint, DecimalText):
        return FieldError.invalid(path, value, constraint.problem(value), sensitive=sensitive)
    if kind == BROKEN_RULE:
        return FieldError.invalid(path, value, detail["ctx"]["detail"], sensitive=sensitive)
    if kind in {"string_type", "string_pattern_mismatch"} and constraint is not None:
        return FieldError.invalid(path, value, constraint.detail, sensitive=sensitive)
    if kind in _WANTED_CONTAINERS:
        # Not the value: a key or a URL with a password is easily put one level too high.
        wanted = _WANTED_CONTAINERS[kind]
        return FieldError.type_invalid(path, json_type(value), wanted, sensitive=False)
    if kind in _WANTED:
        return FieldError.type_invalid(path, value, _WANTED[kind], sensitive=sensitive)
    if kind == "extra_forbidden":
        return unknown_field(path, fields_of(where.model) if where.model and hints else ())
    return _OTHERS[kind](detail, path)


def _below_credential_key(path: Path) -> bool:
    return any(isinstance(step, MapKey) and names_credential(step) for step in path)


def unknown_field(path: Path, known: Iterable[str]) -> FieldError:
    """Return the error for a field that is not in the schema, with the field that was probably
    meant."""
    name = str(path[-1])
    if names_credential(name):
        # The field that is spelled most like it takes the name of a key: no place for the key.
        return FieldError.forbidden(
            path, "unknown field; a credential belongs into a Secret, and only its name in here"
        )
    close = difflib.get_close_matches(name[:SHOWN_KEY], list(known), n=1, cutoff=0.6)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return FieldError.forbidden(path, f"unknown field{hint}")


_OTHERS: dict[str, Callable[[ErrorDetails, Path], FieldError]] = {
    "string_too_long": lambda detail, path: FieldError.too_long(path, detail["ctx"]["max_length"]),
    "too_long": lambda detail, path: FieldError.too_many(
        path, len(detail["input"]), detail["ctx"]["max_length"]
    ),
    "too_short": lambda detail, path: FieldError.required(
        path, f"must have at least {detail['ctx']['min_length']} item"
    ),
    "greater_than_equal": lambda detail, path: FieldError.invalid(
        path, detail["input"], f"must be greater than or equal to {detail['ctx']['ge']}"
    ),
    "less_than_equal": lambda detail, path: FieldError.invalid(
        path, detail["input"], f"must be less than or equal to {detail['ctx']['le']}"
    ),
}
