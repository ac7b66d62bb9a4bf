"""The first step of a review: objects that the JSON parser reads straight into their type.

Nearly all objects have no schema error, and nearly all creations come with the defaults of the
schema, since the API server fills them in first. Example: the creation of a TradingBot with every
constant default is read as a `TypedBot`. It `is_complete`, also without `resources.requests`, whose
default is computed later; so a mutating webhook has nothing to add.

All other objects are reviewed from plain JSON, with the same outcome.
"""

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tradingbot_api.admission.fields import fields_of
from tradingbot_api.assetregistry import AssetRegistrySpec
from tradingbot_api.model import Model
from tradingbot_api.tradingbot import TradingBotSpec


class Names(BaseModel):
    """The fields of `metadata` that admission reads. Each may be any JSON value."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Any = None
    generate_name: Any = Field(None, alias="generateName")
    annotations: Any = None
    deletion_timestamp: Any = Field(None, alias="deletionTimestamp")


class TypedObject(BaseModel):
    """An object whose spec has no schema error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_version: Any = Field(None, alias="apiVersion")
    kind: Any = None
    metadata: Names
    spec: Model
    status: Any = None


class TypedBot(TypedObject):
    """A TradingBot."""

    spec: TradingBotSpec


class TypedAssetRegistry(TypedObject):
    """An AssetRegistry."""

    spec: AssetRegistrySpec


def is_complete(model: Model) -> bool:
    """Return whether `model` was read from JSON that has every field with a default."""
    with_default, models, lists = _parts(model.__class__)
    if not with_default <= model.__pydantic_fields_set__:
        return False
    values = model.__dict__
    for attribute in models:
        inner = values[attribute]
        if inner is not None and not is_complete(inner):
            return False
    for attribute in lists:
        for item in values[attribute] or ():
            if not is_complete(item):
                return False
    return True


@cache
def _parts(model: type[Model]) -> tuple[frozenset[str], tuple[str, ...], tuple[str, ...]]:
    """Return the attributes with a default, those that are models, and those that are lists of
    models. Models without any default inside are left out."""
    fields = fields_of(model).values()
    return (
        frozenset(field.attribute for field in fields if field.has_default),
        tuple(field.attribute for field in fields if _has_default_in(field.type.model)),
        tuple(
            field.attribute
            for field in fields
            if field.type.items is not None and _has_default_in(field.type.items.model)
        ),
    )


def _has_default_in(model: type[Model] | None) -> bool:
    return model is not None and any(_parts(model))
