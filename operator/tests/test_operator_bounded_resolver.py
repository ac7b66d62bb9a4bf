"""Names that are slow to resolve, with look-ups that wait until they are let go."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp.abc import ResolveResult
from tradingbot_operator.bounded_resolver import BoundedResolver, Name

AF_INET = socket.AF_INET


def address(name: Name) -> list[ResolveResult]:
    host, port, family = name
    return [ResolveResult(hostname=host, host="::1", port=port, family=family, proto=0, flags=0)]


class Names:
    """Looks names up; those in `hang` don't come back before `release`."""

    def __init__(self, *hang: str) -> None:
        self._hang = set(hang)
        self._released = threading.Event()
        self.begun = threading.Semaphore(0)
        self.asked: list[str] = []

    def __call__(self, name: Name) -> list[ResolveResult]:
        self.asked.append(name[0])
        self.begun.release()
        if name[0] in self._hang:
            assert self._released.wait(30)
        return address(name)

    def release(self) -> None:
        self._released.set()


@contextmanager
def resolving(names: Names) -> Iterator[None]:
    """So that no thread outlives its test, also if that fails."""
    try:
        yield
    finally:
        names.release()


async def begun(names: Names) -> None:
    """Wait until a look-up has begun."""
    await asyncio.to_thread(names.begun.acquire)


async def given_up(waiting: "asyncio.Task[list[ResolveResult]]") -> None:
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def ask(resolver: BoundedResolver, host: str) -> "asyncio.Task[list[ResolveResult]]":
    return asyncio.create_task(resolver.resolve(host, 8080, AF_INET))


def test_a_name_is_resolved_as_the_system_does() -> None:
    async def main() -> list[ResolveResult]:
        resolver = BoundedResolver()
        try:
            return await resolver.resolve("localhost", 8080, AF_INET)
        finally:
            await resolver.close()

    assert [(one["host"], one["port"]) for one in asyncio.run(main())] == [("127.0.0.1", 8080)]


@pytest.mark.parametrize("host", ["no-such-bot.invalid", "a..b"])
def test_a_name_that_does_not_exist_is_an_error_each_time(host: str) -> None:
    async def main() -> None:
        resolver = BoundedResolver()
        for _ in range(2):
            with pytest.raises((OSError, ValueError)):
                await resolver.resolve(host)
        await resolver.close()

    asyncio.run(main())


def test_a_name_that_hangs_holds_one_thread_however_often_it_is_asked_for() -> None:
    names = Names("dead")

    async def main() -> None:
        resolver = BoundedResolver(2, look_up=names)
        for _ in range(5):
            waiting = ask(resolver, "dead")
            if names.asked == []:
                await begun(names)
            await given_up(waiting)
        assert (await ask(resolver, "alive"))[0]["hostname"] == "alive"
        await resolver.close()

    with resolving(names):
        asyncio.run(main())
    assert names.asked == ["dead", "alive"]


def test_all_who_ask_for_a_name_that_is_being_looked_up_get_its_answer() -> None:
    names = Names("slow")

    async def main() -> list[list[ResolveResult]]:
        resolver = BoundedResolver(2, look_up=names)
        first = ask(resolver, "slow")
        await begun(names)
        second, third = ask(resolver, "slow"), ask(resolver, "slow")
        await asyncio.sleep(0)
        await given_up(first)
        names.release()
        answers = [await second, await third]
        await resolver.close()
        return answers

    with resolving(names):
        assert asyncio.run(main()) == [address(("slow", 8080, AF_INET))] * 2
    assert names.asked == ["slow"]


def test_no_more_threads_than_allowed_look_up_and_what_nobody_wants_is_skipped() -> None:
    names = Names("dead")

    async def main() -> None:
        resolver = BoundedResolver(1, look_up=names)
        dead = ask(resolver, "dead")
        await begun(names)
        unwanted, wanted = ask(resolver, "unwanted"), ask(resolver, "wanted")
        await asyncio.sleep(0)
        await given_up(unwanted)
        assert names.asked == ["dead"]
        names.release()
        await asyncio.gather(dead, wanted)
        await resolver.close()

    with resolving(names):
        asyncio.run(main())
    assert names.asked == ["dead", "wanted"]


def test_an_answer_is_not_kept() -> None:
    names = Names()

    async def main() -> None:
        resolver = BoundedResolver(2, look_up=names)
        for _ in range(2):
            await ask(resolver, "bot")
        await resolver.close()

    asyncio.run(main())
    assert names.asked == ["bot", "bot"]


def test_a_look_up_that_hangs_does_not_hold_up_the_end_of_the_loop() -> None:
    names, others = Names("dead"), resolvers()

    async def main() -> None:
        resolver = BoundedResolver(2, look_up=names)
        waiting = ask(resolver, "dead")
        await begun(names)
        await given_up(waiting)
        await resolver.close()

    with resolving(names):
        asyncio.run(main())
        (thread,) = resolvers() - others
        assert thread.daemon
    thread.join(30)
    assert not thread.is_alive()


def resolvers() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "resolver"}
