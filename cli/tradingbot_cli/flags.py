"""Command-line flags made from a settings class, so that a setting is declared once.

`database_url` of the registry becomes `--database-url` and TRADINGBOT_REGISTRY_DATABASE_URL. The
flag takes precedence over the variable.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from enum import Enum
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsError

from tradingbot_cli.errors import UsageError

Settings = TypeVar("Settings", bound=BaseSettings)

_COMMON_PREFIX = "TRADINGBOT_"
"""Prefix of the settings that all services share. Without the name of a service, the same variable
would set, say, the port of all of them."""

_SERVICE_LINK = ("tcp://", "udp://", "sctp://")


def add_flags(parser: argparse._ActionsContainer, settings: type[BaseSettings]) -> None:
    """Add a flag for each field. The namespace has only the flags that were given."""
    for name, field in settings.model_fields.items():
        options: dict[str, Any] = {
            "dest": name,
            "default": argparse.SUPPRESS,
            "help": _help(name, field, settings),
        }
        types = _types(field.annotation)
        if bool in types:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["metavar"] = _metavar(name, types)
            if any(get_origin(kind) in {list, tuple, set, frozenset} for kind in types):
                options["action"] = "append"
        parser.add_argument(flag(name), **options)


def load(settings: type[Settings], given: argparse.Namespace) -> Settings:
    """Return the settings from flags, then the environment, then defaults.

    Raises UsageError, also for a variable that lacks the name of its service.
    """
    if outdated := list(_outdated(settings)):
        raise UsageError("; ".join(outdated))
    flags = {name: value for name, value in vars(given).items() if name in settings.model_fields}
    try:
        return settings(**flags)
    except ValidationError as error:
        raise UsageError("; ".join(_problems(settings, flags, error))) from error
    except SettingsError as error:
        raise UsageError(str(error)) from error


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def variable(name: str, settings: type[BaseSettings]) -> str:
    return (settings.model_config.get("env_prefix", "") + name).upper()


def _outdated(settings: type[BaseSettings]) -> Iterator[str]:
    """Yield an error for each variable of a name that this service read once."""
    for name in settings.model_fields:
        old, new = (_COMMON_PREFIX + name).upper(), variable(name, settings)
        if old != new and old in os.environ:
            yield f"{old}: is now called {new}"


def _problems(
    settings: type[BaseSettings], flags: dict[str, Any], error: ValidationError
) -> Sequence[str]:
    """Return each error with the name of its flag or variable. Values may be secret: none is shown.

    A variable whose value is that of a Service link, such as TRADINGBOT_REGISTRY_PORT, was set by
    the kubelet.
    """
    problems = []
    for detail in error.errors(include_url=False, include_input=False):
        message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
        name = str(detail["loc"][0]) if detail["loc"] else ""
        if not name:
            problems.append(message)
            continue
        by_variable = name not in flags and variable(name, settings) in os.environ
        source = variable(name, settings) if by_variable else flag(name)
        if by_variable and os.environ[source].startswith(_SERVICE_LINK):
            message += ". Kubernetes set this variable: set enableServiceLinks: false in the pod"
        problems.append(f"{source}: {message}")
    return problems


def _help(name: str, field: FieldInfo, settings: type[BaseSettings]) -> str:
    default = field.get_default(call_default_factory=True)
    if field.is_required():
        shown = "required"
    elif default is None or default == "":
        shown = "default: none"
    else:
        shown = f"default: {_text(default)}"
    text = f"{field.description or ''} [{variable(name, settings)}, {shown}]"
    return text.replace("%", "%%").strip()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(map(str, value))
    return str(value)


def _types(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of a field's type, without None."""
    if get_origin(annotation) in {Union, UnionType}:
        return tuple(kind for kind in get_args(annotation) if kind is not type(None))
    return (annotation,)


def _metavar(name: str, types: Sequence[Any]) -> str:
    for kind in types:
        if get_origin(kind) is Literal:
            return "{" + ",".join(map(str, get_args(kind))) + "}"
        if isinstance(kind, type) and issubclass(kind, Enum):
            return "{" + ",".join(str(member.value) for member in kind) + "}"
        if kind in {int, float}:
            return "N"
    return name.rpartition("_")[2].upper()
