"""A person's way of using the system: kubectl on files, and requests to the registry."""

import json
import shlex
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

import yaml
from reads import Object, read_items, read_object, without_managed_fields
from tradingbot_dev.control_plane.apiclient import http_answer
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_dev.product.system import System
from writes import create_as_applied, delete_object, patch_object

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "config" / "samples"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
BOT = "arb-bot-binance"
PATIENCE = STUCK_SECONDS
"""Seconds within which the system must have settled; it mostly takes one."""

LONGEST_PAUSE = 0.3

Found = TypeVar("Found")


def eventually(look: Callable[[], Found], *, seconds: float = PATIENCE) -> Found:
    """What `look` returns once that is true.

    AssertionErrors on the way are waited out, and LookupErrors: an object may be there later.
    """
    begun = time.monotonic()
    deadline = begun + seconds
    while True:
        try:
            found = look()
        except (AssertionError, LookupError):
            if time.monotonic() > deadline:
                raise
        else:
            if found:
                return found
            assert time.monotonic() < deadline, f"not so within {seconds} s, last seen: {found!r}"
        # Less often if it takes long: several tests run on two cores, and all of them wait.
        time.sleep(min(0.05 + (time.monotonic() - begun) / 10, LONGEST_PAUSE))


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

    def applied(self, *objects: Object) -> None:
        """Create objects as `kubectl apply` does; it applies those that exist. All are accepted."""
        plane = self.system.plane
        left = [obj for obj in objects if not create_as_applied(plane, self.namespace, obj)]
        if left:
            done = self.apply(*left)
            assert done.returncode == 0, done.stderr

    def deleted(self, kind: str, name: str, *, cascade: str = "background") -> None:
        """Delete an object that exists, and wait until it is gone, as `kubectl delete` does."""
        uid = (self.get(kind, name) or {})["metadata"]["uid"]
        delete_object(self.system.plane, self.namespace, kind, name, cascade=cascade)
        eventually(lambda: ((self.get(kind, name) or {}).get("metadata") or {}).get("uid") != uid)

    def get(self, kind: str, name: str) -> Object | None:
        """The stored object, or None."""
        try:
            found = read_object(self.system.plane, self.namespace, kind, name)
        except RecursionError:  # its managed fields, which kubectl leaves out, are a deep nest
            done = self.kubectl("get", kind, name, "-o", "json")
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout)
        return without_managed_fields(found) if found is not None else None

    def items(self, kind: str, *, bot: str) -> list[Object]:
        """The stored objects of a kind that belong to a bot."""
        chosen = f"trading.io/bot={bot}"
        try:
            found = list(read_items(self.system.plane, self.namespace, kind, labels=chosen))
        except RecursionError:  # as above
            done = self.kubectl("get", kind, "-l", chosen, "-o", "json")
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout)["items"]
        return [without_managed_fields(item) for item in found]

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

    def listed(self, kinds: str, *, selector: str = "") -> list[Object]:
        """Return all stored objects of these kinds in the namespace, with their managed fields."""
        return list(read_items(self.system.plane, self.namespace, kinds, labels=selector))

    def patched(self, kind: str, name: str, patch: object, *, subresource: str = "") -> None:
        """Merge `patch`, an object or its JSON, into an object; it must be accepted."""
        status, said = patch_object(
            self.system.plane, self.namespace, kind, name, patch, subresource=subresource
        )
        assert status == 200, said

    def await_phases(self, phases: Mapping[str, str], *, seconds: float = PATIENCE) -> None:
        """Wait until each of these bots is in its phase, and every status is current."""

        def look() -> bool:
            bots = {bot["metadata"]["name"]: bot for bot in self.listed("tradingbots")}
            seen = {name: _current_phase(bots.get(name)) for name in phases}
            assert seen == dict(phases)
            return True

        eventually(look, seconds=seconds)

    def warnings(self, name: str, reason: str, *, kind: str = "TradingBot") -> list[str]:
        """Return the messages of the Warning events of a reason on an object."""
        found = self.events_of(name, reason, kind=kind)
        return [event["message"] for event in found if event["type"] == "Warning"]

    def await_events(
        self, name: str, reason: str, *, count: int = 1, kind: str = "TradingBot"
    ) -> list[str]:
        """Wait until an object has this many events of a reason, and return their messages.

        The operator writes an event after the status that goes with it.
        """

        def look() -> list[Object]:
            found = self.events_of(name, reason, kind=kind)
            assert len(found) == count, (reason, found)
            return found

        return [event["message"] for event in eventually(look)]

    def metric(self, name: str, *, port: int | None = None) -> float | None:
        """Return the sum of a metric of the operator over its labels, or None without series."""
        answer = http_answer(port or self.system.plane.ports.operator_health, "/metrics")
        assert answer is not None, "the operator does not answer"
        lines = answer.body.decode().splitlines()
        values = [
            float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))
        ]
        return sum(values) if values else None

    def events(self, name: str) -> list[str]:
        """Reasons of the events on a bot, oldest first."""
        return [event["reason"] for event in self.events_of(name)]

    def count_of(self, name: str, reason: str) -> int:
        """Return how often the events of a reason on a bot say that they have happened."""
        return sum(event["count"] for event in self.events_of(name, reason))

    def events_of(self, name: str, reason: str = "", *, kind: str = "TradingBot") -> list[Object]:
        """Return the events on an object, of a reason if it is given, oldest first."""
        fields = f"involvedObject.kind={kind},involvedObject.name={name}"
        fields += f",reason={reason}" if reason else ""
        return list(read_items(self.system.plane, self.namespace, "events", fields=fields))

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
    """The sample bot, with fields of its spec replaced or (None) left out.

    It keeps its limits itself: most tests are not about a gateway.
    """
    bot = deepcopy(sample("tradingbot.yaml"))
    bot["spec"]["riskManagement"]["enforcement"] = "Bot"
    bot["spec"] = {
        key: value for key, value in {**bot["spec"], **changes}.items() if value is not None
    }
    return bot


def documented_wait(waited_for: str) -> tuple[str, ...]:
    """Return the arguments of the `kubectl wait` in docs/operations.md that waits for that."""
    command = f"$ kubectl wait tbot/NAME --for={waited_for} "
    (line,) = [line for line in OPERATIONS.splitlines() if line.startswith(command)]
    _, *arguments = shlex.split(line.removeprefix("$ "), comments=True)
    return tuple(argument.replace("NAME", BOT) for argument in arguments)


def named_bot(name: str, **changes: Any) -> Object:
    """Return the sample bot under another name; fields of its spec as in `sample_bot`."""
    return {**sample_bot(**changes), "metadata": {"name": name}}


def _current_phase(bot: Object | None) -> str | None:
    """Return the phase of a bot; None while its status is of an older generation."""
    status = (bot or {}).get("status", {})
    current = bot and status.get("observedGeneration") == bot["metadata"]["generation"]
    return status.get("phase") if current else None


def condition(obj: Object, type_: str) -> Object:
    """A condition of an object; AssertionError if it has none of that type."""
    found = [one for one in obj.get("status", {}).get("conditions", []) if one["type"] == type_]
    assert found, f"no condition {type_}"
    return dict(found[0])


def assert_is_false(obj: Object, type_: str, *parts: str) -> None:
    """A condition of that type is False, and its message has all these parts."""
    found = condition(obj, type_)
    assert found["status"] == "False", found
    missing = [part for part in parts if part not in found["message"]]
    assert not missing, f"{missing} not in {found['message']}"
