"""A person's way of using the system: kubectl on files, and a look at the registry."""

import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

import yaml
from tradingbot_dev.system import System

SAMPLES = Path(__file__).parent.parent / "config" / "samples"
PATIENCE = 30.0
"""Seconds within which the system must have settled; it mostly takes one."""

Object = dict[str, Any]


Found = TypeVar("Found")


def eventually(look: Callable[[], Found], *, seconds: float = PATIENCE) -> Found:
    """What `look` returns once that is true; AssertionErrors on the way are waited out."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = look()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        else:
            if found:
                return found
            assert time.monotonic() < deadline, f"not so within {seconds} s, last seen: {found!r}"
        time.sleep(0.1)


@dataclass(frozen=True)
class Person:
    """Somebody with kubectl and a namespace."""

    system: System
    namespace: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> CompletedProcess[str]:
        """Run kubectl in the namespace; the outcome as it is."""
        return self.system.plane.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def apply(self, *objects: Object, options: tuple[str, ...] = ()) -> CompletedProcess[str]:
        """`kubectl apply` of objects as a file."""
        return self.kubectl("apply", *options, "-f", "-", stdin=yaml.safe_dump_all(objects))

    def applied(self, *objects: Object) -> str:
        """The same, and it must be accepted: what kubectl printed."""
        done = self.apply(*objects)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, kind: str, name: str) -> Object | None:
        """The stored object, or None."""
        done = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def items(self, kind: str, *, bot: str) -> list[Object]:
        """The stored objects of a kind that belong to a bot."""
        done = self.kubectl("get", kind, "-l", f"trading.io/bot={bot}", "-o", "json")
        assert done.returncode == 0, done.stderr
        found: list[Object] = json.loads(done.stdout)["items"]
        return found

    def await_phase(self, name: str, phase: str, *, seconds: float = PATIENCE) -> Object:
        """The bot once it is in that phase and its status is of its newest generation."""

        def look() -> Object | None:
            bot = self.get("tradingbot", name)
            status = (bot or {}).get("status", {})
            current = (
                bot is not None
                and status.get("observedGeneration") == bot["metadata"]["generation"]
            )
            return bot if current and status.get("phase") == phase else None

        found = eventually(look, seconds=seconds)
        assert found is not None
        return found

    def running_bot(self, **changes: Any) -> Object:
        """The sample bot with its Secret, running; top-level fields of its spec may be replaced."""
        bot = sample_bot(**changes)
        self.applied(sample("secret.yaml"), bot)
        return self.await_phase(bot["metadata"]["name"], "Running")

    def events(self, name: str) -> list[str]:
        """Reasons of the events on a bot, oldest first."""
        done = self.kubectl(
            "get",
            "events",
            "--field-selector",
            f"involvedObject.kind=TradingBot,involvedObject.name={name}",
            "-o",
            "jsonpath={.items[*].reason}",
        )
        return done.stdout.split()

    def registry(self, path: str) -> Any:
        """What the registry answers at `/api/v1/PATH`; None for 404."""
        try:
            with urlopen(f"{self.system.registry_url}/api/v1/{path}", timeout=10) as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code == 404:
                return None
            raise

    def asset(self, bot: str) -> Any:
        """The bot's asset in the registry, or None."""
        return self.registry(f"assets/by-ref/tradingbot/{self.namespace}/{bot}")


def sample(name: str) -> Object:
    """The first object of a file of `config/samples`."""
    found: Object = next(yaml.safe_load_all((SAMPLES / name).read_text(encoding="utf-8")))
    return found


def sample_bot(**changes: Any) -> Object:
    """The sample bot, with fields of its spec replaced or (None) left out."""
    bot = deepcopy(sample("tradingbot.yaml"))
    bot["spec"] = {
        key: value for key, value in {**bot["spec"], **changes}.items() if value is not None
    }
    return bot


def condition(obj: Object, type_: str) -> Object:
    """A condition of an object; AssertionError if it has none of that type."""
    found = [one for one in obj.get("status", {}).get("conditions", []) if one["type"] == type_]
    assert found, f"no condition {type_}"
    return dict(found[0])
