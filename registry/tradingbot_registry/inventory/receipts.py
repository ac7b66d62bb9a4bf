"""Answers to requests that their clients may repeat, kept for a day.

A client that got no answer does not know whether its request was carried out. If it repeats the
request with the same key, it gets the first answer again. The answer is kept in the transaction of
the request.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import peewee

from tradingbot_registry.refusals import AnswerGoneError, KeyReusedError
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import Receipt, rows

KEPT = timedelta(hours=24)

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of the answers that are kept: of a batch of 500 assets, one may take several MiB."""

DROPPED: list[Any] = []
"""In the place of an answer that is no longer kept."""

PAGE = 1000

_SIZE = peewee.fn.LENGTH(Receipt.answer)  # of ASCII


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A request: its key, which is the caller's own, and a digest of everything that it asks."""

    key: str
    actor: str
    digest: str


class Receipts:
    """The answers that are kept of one database: at most `limit` bytes, the newest ones.

    Of a request whose answer is dropped, the key and the digest stay for their day, so that the
    request is not carried out twice. Several processes on one database each add up to an eighth of
    the limit before they look again.
    """

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._unchecked = limit
        """Bytes that this process added since it looked; it does not know what others added."""
        self._dropped_until: datetime | None = None

    def answer_once(
        self, db: Database, request: Repeatable, now: datetime, answer: Callable[[], Any]
    ) -> tuple[Any, bool]:
        """Return the answer, a JSON value, and whether it is an earlier one.

        To be called inside a write. Raises KeyReusedError if the key was used for another request,
        and AnswerGoneError if the answer is no longer kept.
        """
        Receipt.delete().where(Receipt.at < now - KEPT).execute(db)
        same = (Receipt.actor == request.actor) & (Receipt.key == request.key)
        for digest, kept in rows(db, Receipt.select(Receipt.digest, Receipt.answer).where(same)):
            if digest != request.digest:
                raise KeyReusedError
            if kept == DROPPED:
                raise AnswerGoneError
            return kept, True
        given = answer()
        Receipt.insert(
            actor=request.actor, key=request.key, digest=request.digest, at=now, answer=given
        ).execute(db)
        ((size,),) = rows(db, Receipt.select(_SIZE).where(same))
        self._unchecked += int(size)
        if self._unchecked >= self._limit // 8:
            self._drop_oldest(db)
            self._unchecked = 0
        return given, False

    def _drop_oldest(self, db: Database) -> None:
        last = self._last_beyond(db)
        if last is None:
            return
        # Answers are dropped in their order, and those before have been dropped already.
        old = Receipt.at <= last
        if self._dropped_until is not None:
            old &= Receipt.at > self._dropped_until
        Receipt.update(answer=DROPPED).where(old).execute(db)
        self._dropped_until = last

    def _last_beyond(self, db: Database) -> datetime | None:
        """Return the time of the newest answer that has no room, if there is one."""
        newest_first = Receipt.select(Receipt.at, _SIZE).order_by(Receipt.at.desc())
        if self._dropped_until is not None:
            newest_first = newest_first.where(Receipt.at > self._dropped_until)
        total = 0
        for begin in itertools.count(0, PAGE):
            page = rows(db, newest_first.limit(PAGE).offset(begin))
            for at, size in page:
                total += int(size)
                if total > self._limit:
                    found: datetime = at
                    return found
            if len(page) < PAGE:
                break
        return None
