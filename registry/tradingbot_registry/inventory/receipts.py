"""Answers to requests that their clients may repeat, kept for a day.

A client that got no answer does not know whether its request was carried out. If it repeats the
request with the same key, it gets the first answer again. The answer is kept in the transaction of
the request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tradingbot_registry.refusals import KeyReusedError
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import Receipt, rows

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A request: its key, which is the caller's own, and a digest of everything that it asks."""

    key: str
    actor: str
    digest: str


def answer_once(
    db: Database, request: Repeatable, now: datetime, answer: Callable[[], Any]
) -> tuple[Any, bool]:
    """Return the answer, a JSON value, and whether it is an earlier one.

    To be called inside a write. Raises KeyReusedError if the key was used for another request.
    """
    Receipt.delete().where(Receipt.at < now - KEPT).execute(db)
    same = (Receipt.actor == request.actor) & (Receipt.key == request.key)
    for digest, kept in rows(db, Receipt.select(Receipt.digest, Receipt.answer).where(same)):
        if digest != request.digest:
            raise KeyReusedError
        return kept, True
    given = answer()
    Receipt.insert(
        actor=request.actor, key=request.key, digest=request.digest, at=now, answer=given
    ).execute(db)
    return given, False
