"""Bounds the number of values in a review before the review is parsed.

3 MiB of JSON can be a million empty objects, which take fifty times as much memory as text. So
the values of a review are counted: a parser makes a list or an object for each `[` and `{`, and a
comma is before every other value. There are at most as many keys as values.
"""

from __future__ import annotations

MAX_CONTAINERS = 150_000
"""Lists and objects in a review. The largest object that etcd stores (1.5 MiB) has under 60,000 of
them if each key is named by some letters, managedFields included, and an update holds it twice."""

MAX_VALUES = 1_000_000
"""Values of any type in a review."""

_SLICE = 1 << 16
_CONTAINERS = (b"{", b"[")
_KEPT = b'"{[,'
_DROPPED = bytes(byte for byte in range(256) if byte not in _KEPT)


def is_too_complex(body: bytes) -> bool:
    """Return whether a review has more lists and objects, or more values, than allowed.

    Takes no time for usual reviews, and some milliseconds for 3 MiB. In invalid JSON, at least the
    values that a parser makes before it fails are counted.
    """
    if len(body) <= 2 * MAX_CONTAINERS:
        return False  # each takes two bytes, except those that are open where a parser gives up
    if _is_over(*_counts(body)):  # more than there are, as strings are counted too
        return _is_over(*_exact(body))
    return False


def _is_over(containers: int, commas: int) -> bool:
    return containers > MAX_CONTAINERS or containers + commas > MAX_VALUES


def _counts(text: bytes) -> tuple[int, int]:
    return sum(map(text.count, _CONTAINERS)), text.count(b",")


def _exact(body: bytes) -> tuple[int, int]:
    """Return the counts outside strings, in linear time, and mostly in compiled code."""
    text = body.replace(rb"\\", b"").replace(rb"\"", b"")  # so that each quote begins or ends one
    text = text.translate(None, _DROPPED)
    containers = commas = 0
    inside = False
    for at in range(0, len(text), _SLICE):
        parts = text[at : at + _SLICE].split(b'"')
        more = _counts(b"".join(parts[inside::2]))
        containers, commas = containers + more[0], commas + more[1]
        inside ^= len(parts) % 2 == 0
    return containers, commas
