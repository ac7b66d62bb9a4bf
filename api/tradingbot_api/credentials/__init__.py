"""What looks like a credential, by its name and by its value: one detector for every place.

`detect` judges one value under one name, such as a parameter of a strategy or a variable of an
environment. `detect_in` judges a JSON value at any depth, such as the config of an asset. Neither
repeats a value: people store credentials where everybody can read them, and a message must not do
so again.

A `Suspect` that is `certain` is an error. Other suspects only look random, which identifiers do as
well, and are worth a warning.
"""

from tradingbot_api.credentials.cel import may_be_secret, name_rule, value_rule
from tradingbot_api.credentials.names import identifies, names_credential
from tradingbot_api.credentials.quick_search import is_plainly_clean
from tradingbot_api.credentials.suspects import Suspect, detect, detect_in
from tradingbot_api.credentials.texts import name_of_flag

__all__ = [
    "Suspect",
    "detect",
    "detect_in",
    "identifies",
    "is_plainly_clean",
    "may_be_secret",
    "name_of_flag",
    "name_rule",
    "names_credential",
    "value_rule",
]
