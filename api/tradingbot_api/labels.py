"""The forms of labels and annotations, as Kubernetes has them."""

import re
from typing import Annotated

from tradingbot_api.constraints import Text

LABEL_KEY_FORM = (
    "must be a label key: an optional DNS prefix and '/', then at most 63 letters, digits, '-', '_'"
    " and '.', beginning and ending with a letter or digit"
)
LABEL_VALUE_FORM = (
    "must be a label value: at most 63 letters, digits, '-', '_' and '.', beginning and ending with"
    " a letter or digit"
)
LABEL_KEY_LENGTH = 317
LABEL_VALUE_LENGTH = 63

_NAME = r"[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_DNS = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
_KEY = re.compile(rf"(?:(?P<prefix>{_DNS})/)?{_NAME}", re.ASCII)
_VALUE = re.compile(rf"(?:{_NAME})?", re.ASCII)
_PREFIX_LENGTH = 253


def label_key_problem(key: str) -> str | None:
    """Return what is wrong with the key of a label or an annotation, or None."""
    match = _KEY.fullmatch(key)
    if match is None or len(match["prefix"] or "") > _PREFIX_LENGTH:
        return LABEL_KEY_FORM
    return None


def label_value_problem(value: str) -> str | None:
    """Return what is wrong with the value of a label, or None."""
    return None if _VALUE.fullmatch(value) else LABEL_VALUE_FORM


def prefix_of(key: str) -> str:
    """Return the DNS prefix of a key, empty if it has none."""
    prefix, slash, _ = key.rpartition("/")
    return prefix if slash else ""


LabelKey = Annotated[
    str, Text(LABEL_KEY_FORM, max_length=LABEL_KEY_LENGTH, check=label_key_problem)
]
LabelValue = Annotated[
    str, Text(LABEL_VALUE_FORM, max_length=LABEL_VALUE_LENGTH, check=label_value_problem)
]
NodeValue = Annotated[str, Text("must be a string", max_length=253)]
"""A label's value, or the name of a node."""
Namespace = Annotated[
    str,
    Text(
        "must be the name of a namespace",
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        max_length=63,
    ),
]
