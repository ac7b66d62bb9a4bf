"""Messages that wait for slow clients are bounded, for each of them and for all together."""

import asyncio

import pytest
from tradingbot_exchange import outbox
from tradingbot_exchange.outbox import Outboxes


class Cut:
    """A client that is cut off when it is called."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def test_messages_leave_in_their_order() -> None:
    async def scenario() -> None:
        boxes = Outboxes()
        box = boxes.open(Cut())
        waiting = asyncio.create_task(box.get())
        await asyncio.sleep(0)
        for text in ("one", "two", "three"):
            box.put(text)
        assert await waiting == "one"
        assert [await box.get(), box.take()] == ["two", "three"]
        assert (len(box), boxes.characters) == (0, 0)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("bound", "texts"),
    [("MOST_MESSAGES", ["a"] * 4), ("MOST_CHARACTERS", ["a", "aa", "a"])],
)
def test_a_client_that_does_not_read_is_cut_off(
    bound: str, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, bound, 3)
    boxes, cut = Outboxes(), Cut()
    box = boxes.open(cut)
    for text in texts[:-1]:
        box.put(text)
    assert cut.times == 0
    box.put(texts[-1])
    box.put("lost")
    assert (cut.times, len(box), boxes.characters) == (1, 0, 0)


def test_a_single_message_may_be_longer_than_what_may_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "MOST_CHARACTERS", 3)
    cut = Cut()
    box = Outboxes().open(cut)
    box.put("a long one")
    assert (box.take(), cut.times) == ("a long one", 0)


def test_if_all_outboxes_are_full_the_fullest_is_cut_off() -> None:
    boxes = Outboxes(most=10)
    cuts = [Cut(), Cut(), Cut()]
    first, second, third = (boxes.open(cut) for cut in cuts)
    first.put("aaa")
    second.put("aaaaaa")
    third.put("aa")
    assert [cut.times for cut in cuts] == [0, 1, 0]
    assert (boxes.characters, len(first), len(third)) == (5, 1, 1)
    third.close()
    assert boxes.characters == 3
