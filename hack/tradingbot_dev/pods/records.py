"""What the agent knows of a pod, on the disk: another agent continues from there."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tradingbot_dev.pods.plan import PodDirectory
from tradingbot_dev.pods.status import KILLED, UNKNOWN_EXIT, Terminated

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Attempt:
    """The newest start of a container. `number` counts the restarts."""

    number: int
    started: datetime
    before: Terminated | None = None
    """How the attempt before it ended."""

    def json(self) -> JsonObject:
        return {
            "number": self.number,
            "started": self.started.timestamp(),
            "before": self.before and _ending_json(self.before),
        }

    @classmethod
    def parse(cls, body: JsonObject) -> "Attempt":
        before = body["before"]
        return cls(
            number=int(body["number"]),
            started=_moment(body["started"]),
            before=before and _parse_ending(before),
        )


@dataclass(frozen=True)
class Record:
    """One pod: whose it is, and the newest attempt of each container that was ever started."""

    namespace: str
    name: str
    uid: str
    attempts: Mapping[str, Attempt] = field(default_factory=dict)

    def write(self, directory: PodDirectory) -> None:
        directory.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        attempts = {name: attempt.json() for name, attempt in self.attempts.items()}
        body = {**self.__dict__, "attempts": attempts}
        write_private(directory.record, json.dumps(body))

    @classmethod
    def read(cls, directory: PodDirectory) -> "Record | None":
        """Return the record, or None if there is none or it was damaged."""
        try:
            body = json.loads(directory.record.read_text())
            attempts = {name: Attempt.parse(found) for name, found in body.pop("attempts").items()}
            return cls(**body, attempts=attempts)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None


def recorded(pods: Path) -> Iterator[Record]:
    """Yield the record of each pod in the directory of all pods; remove damaged ones."""
    for path in sorted(pods.glob("*")):
        record = Record.read(PodDirectory(path))
        if record is not None:
            yield record
        elif path.is_dir():
            shutil.rmtree(path)


def read_ending(exit_file: Path, *, started: datetime, now: datetime) -> Terminated:
    """Return how an attempt ended whose shim has ended.

    Without a file, the shim was killed or the machine was restarted: the kubelet then reports 137.
    The file is written now, so that the time of the end stays.
    """
    try:
        body = json.loads(exit_file.read_text())
        finished, code = _moment(body["finished"]), int(body["exitCode"])
    except (OSError, ValueError, KeyError, TypeError):
        body = {"exitCode": KILLED, "reason": UNKNOWN_EXIT, "finished": now.timestamp()}
        body["message"] = "the process ended together with its parent, which would know how"
        exit_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(exit_file, json.dumps(body))
        finished, code = now, KILLED
    reason = body.get("reason") or ("Error" if code else "Completed")
    return Terminated(code, started, max(started, finished), reason, body.get("message", ""))


def event_of(
    record: Record, type_: str, reason: str, message: str, *, node: str, when: str
) -> JsonObject:
    """Return an event of the kubelet about a pod."""
    return {
        "metadata": {"generateName": f"{record.name[:240]}.", "namespace": record.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": record.namespace,
            "name": record.name,
            "uid": record.uid,
        },
        "type": type_,
        "reason": reason,
        "message": message,
        "source": {"component": "kubelet", "host": node},
        "firstTimestamp": when,
        "lastTimestamp": when,
        "count": 1,
    }


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600, atomically."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _ending_json(ending: Terminated) -> JsonObject:
    times = {"started": ending.started.timestamp(), "finished": ending.finished.timestamp()}
    return {**ending.__dict__, **times}


def _parse_ending(body: JsonObject) -> Terminated:
    times = {name: _moment(body[name]) for name in ("started", "finished")}
    return Terminated(**{**body, **times})


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
