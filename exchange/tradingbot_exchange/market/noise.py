"""Random numbers by position, and a random walk that can be read at any step.

A walk that adds increments can only be read from its beginning. This one is a sum of octaves:
octave k has a random value every 2**k steps, with a standard deviation that grows with the square
root of 2**k, and straight lines in between. The increments of the sum have about the variance of a
random walk over every span up to the longest octave. All of it is integer arithmetic, so it is the
same on every machine.
"""

from collections.abc import Callable

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_OCTAVE = 0xD1342543DE82EF95
_MEAN = 2 * 65535
_DEVIATION = 37837
"""Standard deviation of the sum of four uniform 16-bit numbers."""

SCALE = 10**9
"""Logarithms of prices are integers in units of 1e-9."""


def mix(*parts: int) -> int:
    """Return 64 random bits that depend on `parts` alone (SplitMix64). Negative parts are fine."""
    state = 0
    for part in parts:
        state = _finish((state + part + 1) * _STEP & _MASK)
    return state


def _finish(state: int) -> int:
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
    return state ^ (state >> 31)


def uniform(bits: int, low: int, high: int) -> int:
    """Return an integer in [low, high], from random bits."""
    return low + (bits * (high - low + 1) >> 64)


def normal(bits: int, deviation: int) -> int:
    """Return a roughly normal integer of this standard deviation, from random bits."""
    total = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48)
    return (total - _MEAN) * deviation // _DEVIATION


class OctaveWalk:
    """A random walk that can be read at any step, also before step 0.

    `amplitude(octave, step)` is the standard deviation of an octave's value at a step.
    """

    def __init__(self, seed: int, *, octaves: int, amplitude: Callable[[int, int], int]) -> None:
        self._seed = seed
        self._amplitude = amplitude
        self._octaves = octaves
        # The two values around the last step of each octave: (index, value, next value).
        self._cells: list[tuple[int, int, int]] = [(-1 << 62, 0, 0)] * octaves

    def at(self, step: int) -> int:
        """Return the walk's value."""
        total = 0
        for octave, cell in enumerate(self._cells):
            index, value, following = cell
            if step >> octave != index:
                index, value, following = self._load(octave, step >> octave)
            total += value + ((following - value) * (step - (index << octave)) >> octave)
        return total

    def _load(self, octave: int, index: int) -> tuple[int, int, int]:
        known, value, following = self._cells[octave]
        if index == known + 1:
            cell = (index, following, self._value(octave, index + 1))
        elif index == known - 1:
            cell = (index, self._value(octave, index), value)
        else:
            cell = (index, self._value(octave, index), self._value(octave, index + 1))
        self._cells[octave] = cell
        return cell

    def _value(self, octave: int, index: int) -> int:
        # One round of `mix` over a sum: this is the innermost loop of a market's history.
        bits = _finish((self._seed + octave * _OCTAVE + index * _STEP) & _MASK)
        return normal(bits, self._amplitude(octave, index << octave))
