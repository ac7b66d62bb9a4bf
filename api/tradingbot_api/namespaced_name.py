"""The name of a namespaced object."""

from typing import NamedTuple


class NamespacedName(NamedTuple):
    """Namespace and name of an object, which identify it among the objects of its kind.

    A tuple, so that `*name` fills in the two arguments of a request.
    """

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
