"""bot.json, read at the start and again whenever it changes."""

import json
import logging
from pathlib import Path

from pydantic import ValidationError
from tradingbot_api.contract import BotConfig

from tradingbot_strategies.errors import ConfigError

logger = logging.getLogger(__name__)


class ConfigFile:
    """The file, and the configuration that it had when it could be used last."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises ConfigError."""
        self._path = path
        self._text = self._read()
        self.config = parse(self._text)

    def changed(self) -> bool:
        """Read the file again. Return whether `config` is another one now.

        A file that can't be used changes nothing: it is applied as a whole or not at all.
        """
        try:
            text = self._read()
            if text == self._text:
                return False
            config = parse(text)
        except ConfigError as error:
            logger.warning("keeping the old bot.json: %s", error)
            return False
        self._text, self.config = text, config
        logger.info("read bot.json again, configHash %s", config.config_hash)
        return True

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {self._path}: {error}") from error


def parse(text: str) -> BotConfig:
    """Return the configuration in a text. Raises ConfigError. Unknown fields are ignored."""
    try:
        whole = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"bot.json is not JSON: {error}") from error
    except RecursionError as error:
        raise ConfigError("bot.json is nested too deeply") from error
    version = whole.get("schemaVersion") if isinstance(whole, dict) else None
    if version != "v1":
        raise ConfigError(f"bot.json has schemaVersion {version!r}; this program supports v1")
    try:
        return BotConfig.read(whole)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"bot.json: {place}: {first['msg']}") from error
