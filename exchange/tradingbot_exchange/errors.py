"""Reasons why a simulated exchange can't start. Each message is one line that says what to do."""


class ExchangeError(RuntimeError):
    """Base of this package's errors."""


class SettingError(ExchangeError):
    """Settings do not fit together, or one has a value that can't be used."""


class MarketFileError(ExchangeError):
    """The file of candles can't be read or used. The message has the line."""


class ScenarioError(ExchangeError):
    """The scenario can't be read or has errors. The message has the place of each."""


class KeysFileError(ExchangeError):
    """The file of API keys can't be read, written or used. The message has no secret."""


class StateError(ExchangeError):
    """The state can't be read or written, or is that of another exchange or version."""


class CertificateError(ExchangeError):
    """The certificate or its key is missing or can't be used."""
