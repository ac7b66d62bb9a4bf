"""A model of the ways to write a bot: client-side apply, server-side apply, and patch.

An object is a flat map from paths to values, so that merging is adding and removing of keys. That
is enough for maps; lists are values. What the API server and kubectl do:

- Client-side apply sets what the file has, and removes what the last applied file had and this one
  does not have. An object without a last applied file loses nothing.
- Server-side apply by kubectl sets what the file has, and removes what kubectl owns, the file does
  not have, and nobody else owns. kubectl first takes over what its client-side apply owned.
- A patch sets and removes single fields.
- An update makes its manager the only owner of what it changes, also of what admission adds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]
Flat = dict[Path, Any]
Admit = Callable[[Flat | None, Flat], Flat | None]
"""Takes the stored object and the new one; returns what to store, or None to refuse."""

APPLY, SERVER_SIDE, PATCH = "kubectl-client-side-apply", "kubectl", "kubectl-patch"


def flat(obj: Mapping[str, Any], prefix: Path = ()) -> Flat:
    """The leaves of nested maps by their paths."""
    leaves: Flat = {}
    for key, value in obj.items():
        if isinstance(value, dict):
            leaves |= flat(value, (*prefix, key))
        else:
            leaves[(*prefix, key)] = value
    return leaves


def nested(leaves: Flat) -> dict[str, Any]:
    """The nested maps of a flat object."""
    obj: dict[str, Any] = {}
    for path, value in leaves.items():
        holder = obj
        for step in path[:-1]:
            holder = holder.setdefault(step, {})
        holder[path[-1]] = value
    return obj


@dataclass
class World:
    """One object in a cluster with this admission."""

    admit: Admit
    stored: Flat | None = None
    last_applied: Flat | None = None
    owned: dict[str, set[Path]] = field(default_factory=dict)

    def apply(self, file: Flat) -> bool:
        """Client-side apply. Returns whether it was admitted, as do the others."""
        gone = (self.last_applied or {}).keys() - file.keys()
        admitted = self._update(APPLY, {**self._without(gone), **file})
        if admitted:
            self.last_applied = dict(file)
        return admitted

    def apply_server_side(self, file: Flat) -> bool:
        """Server-side apply with --force-conflicts."""
        before = self.stored or {}
        ours = self._owned(SERVER_SIDE) | self._owned(APPLY)
        others = {
            manager: {p for p in paths if p not in file or before.get(p) == file[p]}
            for manager, paths in self.owned.items()
            if manager not in (SERVER_SIDE, APPLY)
        }
        gone = {p for p in ours - file.keys() if not any(p in paths for paths in others.values())}
        stored = self.admit(self.stored, {**self._without(gone), **file})
        if stored is None:
            return False
        self.stored, self.owned = stored, {**others, SERVER_SIDE: set(file)}
        if self.last_applied is not None:
            self.last_applied = dict(file)  # the API server keeps the annotation in step
        return True

    def patch(self, changes: Flat) -> bool:
        """Merge patch: None removes a field."""
        if self.stored is None:
            return False
        gone = {path for path, value in changes.items() if value is None}
        written = {path: value for path, value in changes.items() if value is not None}
        return self._update(PATCH, {**self._without(gone), **written})

    def _update(self, manager: str, new: Flat) -> bool:
        stored = self.admit(self.stored, new)
        if stored is None:
            return False
        before = self.stored or {}
        changed = {path for path in stored if before.get(path) != stored[path]}
        self.owned = {name: (paths & stored.keys()) - changed for name, paths in self.owned.items()}
        self.owned[manager] = self._owned(manager) | changed
        self.stored = stored
        return True

    def _owned(self, manager: str) -> set[Path]:
        return self.owned.get(manager, set())

    def _without(self, gone: set[Path]) -> Flat:
        return {path: value for path, value in (self.stored or {}).items() if path not in gone}
