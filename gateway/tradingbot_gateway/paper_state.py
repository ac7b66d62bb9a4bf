"""The file of a Paper account, which a gateway that is killed at any moment goes on from.

What can still change is in one small file, which is replaced after each event. What has ended only
grows: it is appended to a second file, of which the first one says how much counts. So an event
costs as much after a day as in the first minute.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tradingbot_exchange.engine.matching import Engine

from tradingbot_gateway.errors import StateFileError

_COUNTS = "history"
"""The member that says how many bytes of the second file count."""


class PaperState:
    """The files of one account of an engine, whose other accounts only quote."""

    def __init__(self, path: Path, account: str, *, quoting: Iterable[str]) -> None:
        """`quoting`: accounts whose open orders are not kept."""
        self.path = path
        self._history = path.with_name(path.name + ".history")
        self._account = account
        self._quoting = frozenset(quoting)
        self._length = 0
        self._fills = 0
        self._is_whole = False
        """Whether the first file has all, as those had that were written before the second one."""

    def read(self) -> dict[str, Any] | None:
        """Return what an engine restores, or None if there is no file. Raises StateFileError.

        Raises what a file of another content causes: ValueError, KeyError, TypeError.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", self.path, error) from error
        state: dict[str, Any] = json.loads(content)
        self._is_whole = _COUNTS not in state
        self._length = int(state.pop(_COUNTS, 0))
        (account,) = (each for each in state["accounts"] if each["name"] == self._account)
        _merge(account, self._lines())
        self._fills = 0 if self._is_whole else len(account["fills"])
        return state

    def write(self, engine: Engine, orders: Iterable[int]) -> None:
        """Keep the account after a change of these orders. Raises StateFileError."""
        if self._is_whole:
            orders, self._is_whole = [each.id for each in engine.orders(self._account)], False
        ended = engine.ended(self._account, orders=orders, first_fill=self._fills)
        self._append(ended)
        self._fills += sum(member == "fills" for member, _ in ended)
        state = engine.live_snapshot(without=self._quoting)
        self._replace({**state, _COUNTS: self._length})

    def _lines(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what has ended, and cut off what was appended by a process that was killed."""
        try:
            if not self._length:
                self._history.unlink(missing_ok=True)
                return []
            content = self._history.read_bytes()
            if len(content) > self._length:
                os.truncate(self._history, self._length)
        except OSError as error:
            raise self._failed("read", self._history, error) from error
        if len(content) < self._length:
            raise ValueError(f"{self._history} has lost its end")
        lines = content[: self._length].splitlines()
        return [(member, item) for member, item in map(json.loads, lines)]

    def _append(self, ended: list[tuple[str, dict[str, object]]]) -> None:
        if not ended:
            return
        lines = b"".join(json.dumps(each, separators=(",", ":")).encode() + b"\n" for each in ended)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with open(os.open(self._history, flags, 0o600), "wb") as file:  # noqa: PTH123
                file.write(lines)
        except OSError as error:
            raise self._failed("write", self._history, error) from error
        self._length += len(lines)

    def _replace(self, state: Mapping[str, object]) -> None:
        following = self.path.with_name(self.path.name + ".next")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with open(os.open(following, flags, 0o600), "wb") as file:  # noqa: PTH123
                file.write(json.dumps(state, separators=(",", ":")).encode())
            following.replace(self.path)
        except OSError as error:
            raise self._failed("write", self.path, error) from error

    def _failed(self, doing: str, path: Path, error: OSError) -> StateFileError:
        return StateFileError(f"cannot {doing} {path}: {error.strerror or error}")


def _merge(account: dict[str, Any], ended: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Add what has ended to what an account has. A list that is there twice has changed since."""
    members: dict[str, dict[int, Any]] = {"lists": {}, "orders": {}}
    fills = []
    for member, item in ended:
        if member == "fills":
            fills.append(item)
        else:
            members[member][item["id"]] = item
    account["fills"] = fills + account["fills"]
    for member, known in members.items():
        known |= {item["id"]: item for item in account[member]}
        account[member] = [known[number] for number in sorted(known)]
