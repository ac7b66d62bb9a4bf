"""Errors that end the program, each with a message that says what to do."""


class StrategiesError(RuntimeError):
    """Base of these errors."""


class UsageError(StrategiesError):
    """The command line is wrong, or names a file that can't be used."""


class ConfigError(StrategiesError):
    """bot.json or the environment can't be used. The bot does not start."""
