"""The faults that are active, and which of them a request or a message meets. Pure.

Faults are counted, not random: the same requests meet the same faults.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pydantic import TypeAdapter

from tradingbot_exchange.faults.model import (
    ClockSkew,
    Crash,
    CutStreams,
    DoubleEvents,
    DropEvents,
    Fault,
    Halt,
    Latency,
    PartialFills,
    Spike,
    ThinLiquidity,
)

_REQUESTS = (
    "reject", "server-error", "rate-limit", "ban", "drop-request", "lose-answer", "double-request",
    "double-answer",
)  # fmt: skip


class UnknownFaultError(LookupError):
    """There is no active fault of this id."""

    def __init__(self, fault_id: str, known: list[str]) -> None:
        super().__init__(f"no fault {fault_id!r}; active: {', '.join(known) or 'none'}")


@dataclass(slots=True, kw_only=True)
class ActiveFault:
    """A fault, with what is left of it. Times are in milliseconds since the epoch."""

    id: str
    fault: Fault
    started: int
    ends: int | None
    remaining: int | None
    hits: int = 0


ACTIVE_FAULT: TypeAdapter[ActiveFault] = TypeAdapter(ActiveFault)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to a request: a wait in milliseconds, and a fault."""

    delay: int
    fault: Fault | None


class FaultBoard:
    """The active faults, oldest first."""

    def __init__(self) -> None:
        self._active: dict[str, ActiveFault] = {}
        self._count = 0

    def add(self, fault: Fault, *, now: int) -> ActiveFault:
        """Begin a fault."""
        self._count += 1
        lasts = getattr(fault, "lasts", None)
        times: int | None = getattr(fault, "times", None)
        if isinstance(fault, DropEvents | DoubleEvents) or fault.type in _REQUESTS:
            times = 1 if times is None and lasts is None else times
        active = ActiveFault(
            id=f"{fault.type}-{self._count}",
            fault=fault,
            started=now,
            ends=None if lasts is None else now + lasts,
            remaining=times,
        )
        self._active[active.id] = active
        return active

    def restore(self, active: ActiveFault) -> None:
        """Take a fault of an earlier process."""
        self._active[active.id] = active
        self._count = max(self._count, int(active.id.rpartition("-")[2]))

    def get(self, fault_id: str) -> ActiveFault:
        """Return a fault. Raises UnknownFaultError."""
        try:
            return self._active[fault_id]
        except KeyError:
            raise UnknownFaultError(fault_id, list(self._active)) from None

    def remove(self, fault_id: str) -> ActiveFault:
        """End a fault. Raises UnknownFaultError."""
        active = self.get(fault_id)
        del self._active[fault_id]
        return active

    def discard(self, fault_id: str) -> None:
        """End a fault if it is active."""
        self._active.pop(fault_id, None)

    def __iter__(self) -> Iterator[ActiveFault]:
        """Iterate over the active faults, oldest first."""
        return iter(list(self._active.values()))

    def expire(self, *, now: int) -> list[ActiveFault]:
        """End the faults whose time is over, and return them."""
        over = [a for a in self._active.values() if a.ends is not None and a.ends <= now]
        for active in over:
            del self._active[active.id]
        return over

    def verdict(self, operation: str, *, now: int) -> Verdict:
        """Return what happens to a request `METHOD PATH`, and count it.

        All delays that match add up; of the others, the oldest one applies.
        """
        delay, found = 0, None
        for active in self._current(now):
            fault = active.fault
            if isinstance(fault, Latency):
                if _matches(fault.match, operation):
                    delay += fault.delay
                    self.count(active)
            elif found is None and fault.type in _REQUESTS:
                match: str = getattr(fault, "match", "")
                if _matches(match, operation):
                    found = fault
                    self.count(active)
        return Verdict(delay, found)

    def copies(self, text: str, *, now: int) -> int:
        """Return how often to send a stream's message, and count it."""
        for active in self._current(now):
            fault = active.fault
            if isinstance(fault, DropEvents | DoubleEvents) and fault.contains in text:
                self.count(active)
                return 0 if isinstance(fault, DropEvents) else 2
        return 1

    def refuses_stream(self, path: str, *, now: int) -> bool:
        """Whether a new stream at `path` is cut."""
        return any(
            isinstance(active.fault, CutStreams) and fnmatchcase(path, active.fault.path)
            for active in self._current(now)
        )

    def partial_fill(self, symbol: str, *, now: int) -> ActiveFault | None:
        """Return the fault that the next order of `symbol` meets. Count it with `count`."""
        for active in self._current(now):
            if isinstance(active.fault, PartialFills) and active.fault.symbol in {None, symbol}:
                return active
        return None

    def count(self, active: ActiveFault) -> None:
        """Count that a fault took effect; end it after the last time."""
        active.hits += 1
        if active.remaining is not None:
            active.remaining -= 1
            if active.remaining <= 0:
                self._active.pop(active.id, None)

    def thin(self, symbol: str) -> ThinLiquidity | None:
        """Return the fault that makes the liquidity of `symbol` thin."""
        for active in self._active.values():
            if isinstance(active.fault, ThinLiquidity) and active.fault.symbol in {None, symbol}:
                return active.fault
        return None

    def skew(self) -> int:
        """Return by how many milliseconds the clock is wrong."""
        return sum(a.fault.by for a in self._active.values() if isinstance(a.fault, ClockSkew))

    def halted(self, symbol: str) -> bool:
        """Whether a fault halts `symbol`."""
        return any(
            isinstance(active.fault, Halt) and active.fault.symbol in {None, symbol}
            for active in self._active.values()
        )

    def moves(self) -> list[ActiveFault]:
        """Return crashes and spikes."""
        return [a for a in self._active.values() if isinstance(a.fault, Crash | Spike)]

    def _current(self, now: int) -> list[ActiveFault]:
        return [a for a in self._active.values() if a.ends is None or now < a.ends]


def _matches(match: str, operation: str) -> bool:
    method, _, path = match.partition(" ")
    given_method, _, given_path = operation.partition(" ")
    return method in {"*", given_method} and fnmatchcase(given_path, path)
