"""A stored TradingBot, parsed, defaulted and validated."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from tradingbot_api import API_VERSION
from tradingbot_api.admission.review import KINDS, defaulted, review
from tradingbot_api.effective import effective
from tradingbot_api.model import JsonObject, ObjectMeta
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_api.strategies.checked import DEFAULT_STRATEGY_IMAGES
from tradingbot_api.tradingbot import TradingBotSpec

from tradingbot_operator import UNREADABLE
from tradingbot_operator.bots.kept_enforcement import with_kept_enforcement


def read_meta(body: JsonObject) -> ObjectMeta:
    """Read the metadata of a stored object; a null field counts as missing."""
    present = {key: value for key, value in body["metadata"].items() if value is not None}
    return ObjectMeta.model_validate(present)


_TEXTS = frozenset({"phase", "configHash", "appliedConfigHash"})


def status_of(body: JsonObject) -> JsonObject:
    """Return the stored status without fields of a wrong type, which others may have written."""
    status = body.get("status")
    if not isinstance(status, dict):
        return {}
    kept = {
        key: value
        for key, value in status.items()
        if value is not None and (key not in _TEXTS or isinstance(value, str))
    }
    conditions = kept.get("conditions")
    if conditions is not None:
        known = conditions if isinstance(conditions, list) else []
        kept["conditions"] = [condition for condition in known if isinstance(condition, dict)]
    if not isinstance(kept.get("risk", {}), dict):
        del kept["risk"]
    return kept


@dataclass(frozen=True)
class Bot:
    """A stored `TradingBot`."""

    meta: ObjectMeta
    spec: TradingBotSpec | None
    """The effective spec, also with the defaults that are not stored; None if the stored one is
    invalid."""
    invalid_fields: tuple[str, ...]
    """Paths of the invalid fields. Never values: many may read a status."""
    status: JsonObject
    unreadable: str = ""
    """Why the stored object can't be read; then only its name is known."""
    keeps_enforcement: bool = False
    """Whether it has the enforcement that it ran with, and not the default."""

    @classmethod
    def read(
        cls,
        body: JsonObject,
        *,
        now: datetime,
        strategy_images: frozenset[str] = DEFAULT_STRATEGY_IMAGES,
    ) -> "Bot":
        """Parse a stored object with the defaults and rules of admission.

        So an object that was stored while no webhook was installed gets its defaults here, and one
        that the current rules reject is not run. An operator that knows more credentials than the
        one before stops no bot for that: a parameter of a bot that has run is in its ConfigMap
        already, and a variable in its Deployment. Admission warns of it. Nor does an operator that
        knows the parameters of more strategies, or other bounds: a bot that has run reads its
        parameters by itself.
        """
        if UNREADABLE in body:
            return cls(read_meta(body), None, (), {}, unreadable=str(body[UNREADABLE]))
        meta = read_meta(body)
        with_defaults = defaulted("TradingBot", body)
        status = status_of(body)
        kept = with_kept_enforcement(with_defaults, status)
        with_defaults = kept or with_defaults
        has_run = bool(status.get("configHash"))
        errors = review(
            "TradingBot",
            with_defaults,
            now=now,
            strategy_images=None if has_run else strategy_images,
        ).errors
        if has_run:
            errors = tuple(error for error in errors if not error.credential)
        spec = None
        if not errors:
            declared: TradingBotSpec = KINDS["TradingBot"].spec_parser.validate_python(
                with_defaults["spec"]
            )
            spec = effective(declared)
        invalid = tuple(error.field for error in errors)
        return cls(meta, spec, invalid, status, keeps_enforcement=kept is not None)

    @property
    def key(self) -> NamespacedName:
        """Namespace and name."""
        return NamespacedName(self.meta.namespace, self.meta.name)

    @property
    def deleting(self) -> bool:
        """Return whether the bot is being deleted."""
        return self.meta.deletion_timestamp is not None

    @cached_property
    def owner_reference(self) -> JsonObject:
        """Return the owner reference of this bot's children."""
        return {
            "apiVersion": API_VERSION,
            "kind": "TradingBot",
            "name": self.meta.name,
            "uid": self.meta.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
