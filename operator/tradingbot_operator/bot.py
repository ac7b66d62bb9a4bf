"""A bot as the operator sees it: the stored object, typed, defaulted and checked."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from tradingbot_api import API_VERSION
from tradingbot_api.admission import KINDS, defaulted, review
from tradingbot_api.model import JsonObject, ObjectMeta
from tradingbot_api.tradingbot import TradingBotSpec


@dataclass(frozen=True)
class Bot:
    """A stored `TradingBot`."""

    meta: ObjectMeta
    spec: TradingBotSpec | None
    """The effective spec, or None if the stored one is invalid."""
    invalid_fields: tuple[str, ...]
    """Paths of what is wrong in the stored spec; never values, since a status is read by many."""
    status: JsonObject

    @classmethod
    def read(cls, body: JsonObject, *, now: datetime) -> "Bot":
        """The typed view of a stored object.

        The same defaulter and checks run as at admission: an object that came in while no webhook
        was installed behaves as if defaulted, and one that today's rules refuse is not run.
        """
        meta = ObjectMeta.model_validate(body["metadata"])
        effective = defaulted("TradingBot", body)
        errors = review("TradingBot", effective, now=now).errors
        spec = None
        if not errors:
            spec = KINDS["TradingBot"].spec_parser.validate_python(effective["spec"])
        return cls(meta, spec, tuple(error.field for error in errors), body.get("status") or {})

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.meta.namespace, self.meta.name

    @property
    def deleting(self) -> bool:
        """Whether its deletion has been asked for."""
        return self.meta.deletion_timestamp is not None

    @cached_property
    def owner_reference(self) -> JsonObject:
        """The reference that makes a child this bot's own."""
        return {
            "apiVersion": API_VERSION,
            "kind": "TradingBot",
            "name": self.meta.name,
            "uid": self.meta.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
