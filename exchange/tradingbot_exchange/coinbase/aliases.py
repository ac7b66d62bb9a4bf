"""Products in USDC that are traded in the book of the product in USD.

Coinbase names that book in a product's `alias`, and sends market channels under its name, whichever
of them was subscribed to.
"""

from collections.abc import Set as AbstractSet

_STABLE, _DOLLAR = "-USDC", "-USD"


def book_of(product: str, known: AbstractSet[str]) -> str:
    """Return the product whose book a product has: mostly its own. `known`: all products."""
    book = product.removesuffix(_STABLE) + _DOLLAR
    return book if product.endswith(_STABLE) and book in known else product


def aliases_of(product: str, known: AbstractSet[str]) -> list[str]:
    """Return the products that have the book of a product."""
    alias = product.removesuffix(_DOLLAR) + _STABLE
    return [alias] if product.endswith(_DOLLAR) and alias in known else []
