"""bot.json: read at the start, and again whenever it changes.

Kubernetes updates a ConfigMap by swapping a symbolic link, so the file is identified by what its
path leads to. A file that can't be used changes nothing: the gateway keeps what it has.
"""

import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from tradingbot_api.contract import BotConfig

from tradingbot_gateway.errors import ConfigError

log = logging.getLogger(__name__)

_LONGEST = 1024 * 1024

Identity = tuple[str, int, int, int]
"""Real path, inode, time of change and size of a file."""


@dataclass(slots=True)
class ConfigFile:
    """A bot.json on disk, and what was read from it last."""

    path: Path
    config: BotConfig = field(init=False)
    _identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        """Read the file. Raises ConfigError."""
        self._identity = _identity(self.path)
        self.config = read_config(self.path)

    def changed(self) -> BotConfig | None:
        """Return the new configuration if the file has changed and can be used, or None."""
        try:
            identity = _identity(self.path)
            if identity == self._identity:
                return None
            self._identity = identity
            config = read_config(self.path)
            self._check_same_bot(config)
        except ConfigError as error:
            log.warning("keeping the configuration: %s", error)
            return None
        if config == self.config:
            return None
        self.config = config
        return config

    def _check_same_bot(self, config: BotConfig) -> None:
        """Raise ConfigError if what never changes under a running bot has changed."""
        old = self.config
        if (config.namespace, config.name) != (old.namespace, old.name):
            raise ConfigError(f"{self.path} is of another bot, {config.namespace}/{config.name}")
        if config.exchange != old.exchange or config.mode != old.mode:
            raise ConfigError(f"{self.path} has another exchange or mode: this needs a restart")


def read_config(path: Path) -> BotConfig:
    """Return the configuration in a file. Raises ConfigError, without any value of the file."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > _LONGEST:
        raise ConfigError(f"{path} is longer than {_LONGEST} bytes")
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        raise ConfigError(f"{path} is not JSON") from None
    try:
        return BotConfig.read(whole if isinstance(whole, dict) else {})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        first = details[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise ConfigError(f"{path} is not a bot.json: {where}: {first['msg']}") from None


def _identity(path: Path) -> Identity:
    try:
        stat = path.stat()
        real = os.path.realpath(path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    return real, stat.st_ino, stat.st_mtime_ns, stat.st_size
