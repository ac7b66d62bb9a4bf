"""An object that came well-formed: read into its type at once, past plain JSON.

Nearly all are. What has no mistake of shape needs no more than its typed form to be judged, and
what the API server has filled the schema's defaults into needs few more. Everything else is judged
from plain JSON (`admission.review`, `admission.defaulted`), with the same outcome.
"""

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tradingbot_api.assetregistry import AssetRegistrySpec
from tradingbot_api.fields import fields_of
from tradingbot_api.model import Model
from tradingbot_api.tradingbot import TradingBotSpec


class Names(BaseModel):
    """What admission reads of `metadata`; it may be anything."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Any = None
    generate_name: Any = Field(None, alias="generateName")
    deletion_timestamp: Any = Field(None, alias="deletionTimestamp")


class WellFormed(BaseModel):
    """An object of one of the kinds, with a spec that has no mistake of shape."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_version: Any = Field(None, alias="apiVersion")
    kind: Any = None
    metadata: Names
    spec: Model
    status: Any = None


class WellFormedBot(WellFormed):
    """A TradingBot."""

    spec: TradingBotSpec


class WellFormedCatalogue(WellFormed):
    """An AssetRegistry."""

    spec: AssetRegistrySpec


def is_complete(model: Model) -> bool:
    """Whether what `model` was read from had every field that the schema has a default for."""
    with_default, models, lists = _parts(model.__class__)
    if not with_default <= model.__pydantic_fields_set__:
        return False
    values = model.__dict__
    for attribute in models:
        inner = values[attribute]
        if inner is not None and not is_complete(inner):
            return False
    for attribute in lists:
        for item in values[attribute]:
            if not is_complete(item):
                return False
    return True


@cache
def _parts(model: type[Model]) -> tuple[frozenset[str], tuple[str, ...], tuple[str, ...]]:
    """The attributes with a default, those that are models, and those that are lists of models."""
    fields = fields_of(model).values()
    return (
        frozenset(field.attribute for field in fields if field.has_default),
        tuple(field.attribute for field in fields if field.type.model is not None),
        tuple(
            field.attribute
            for field in fields
            if field.type.items is not None and field.type.items.model is not None
        ),
    )
