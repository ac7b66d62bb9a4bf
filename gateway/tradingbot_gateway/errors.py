"""Reasons why the gateway can't start. Each message is one line that says what to do."""


class GatewayError(RuntimeError):
    """Base of this package's errors."""


class SettingError(GatewayError):
    """A setting has a value that can't be used, or settings do not fit together."""


class ConfigError(GatewayError):
    """bot.json is missing, can't be read, or is of another version."""


class CredentialsError(GatewayError):
    """The exchange's keys are missing or can't be used. The message has none of them."""


class StateFileError(GatewayError):
    """The ledger's file can't be read or written, or belongs to another bot or version."""


class UnreachableError(GatewayError):
    """The exchange did not answer, or answered nothing that can be used."""


class KeysRefusedError(UnreachableError):
    """The exchange refuses the gateway's keys: they are wrong, or may not do what is needed."""
