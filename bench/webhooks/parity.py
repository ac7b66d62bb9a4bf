"""Check that the peer gives the same verdicts, warnings and defaults on the whole corpus.

This runs before anything is measured, and a difference ends the benchmark. The corpus is that of
the tests of the rules (`api/tests/corpus`): each object is created, and updated from and to.

Left out is what the API server handles before it calls a webhook: unknown fields, nulls, and
updates of stored objects that the schema would have rejected. Left out are also the cases about
credentials, where the peer compares names with a regular expression and ours has a detector, and
the cases about the parameters of built-in strategies, which the peer does not know.
"""

import base64
import http.client
import json
import ssl
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonpatch
from tradingbot_api.image import repository
from tradingbot_api.strategies.checked import ANNOTATION, DEFAULT_STRATEGY_IMAGES

from bench import ROOT
from bench.common.sample import Json, sample_bot
from bench.webhooks.reviews import WORKLOADS, Endpoint, as_received, review
from bench.webhooks.servers import Server

BAD_REQUEST = 400


class NotEqualError(RuntimeError):
    """Raised when the servers differ, so that their numbers must not be compared."""


@dataclass(frozen=True)
class Question:
    """An object to create, or to update another one to."""

    name: str
    obj: Json
    old: Json | None = None


@dataclass(frozen=True)
class Verdict:
    """The answer of a server to one review, in a form that can be compared."""

    allowed: bool
    undecodable: bool
    causes: tuple[tuple[str, str, str], ...]
    warnings: tuple[str, ...]
    result: Json


@dataclass
class Parity:
    """Counts of equal answers."""

    reviews: int = 0
    denials: int = 0
    same_words: int = 0
    differences: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, int]:
        """Return the counts."""
        return {
            "reviews": self.reviews,
            "denials": self.denials,
            "denials_in_the_same_words": self.same_words,
        }


@dataclass(frozen=True)
class Client:
    """A client of one server."""

    server: Server
    connection: http.client.HTTPSConnection

    @classmethod
    def of(cls, server: Server, ca: Path) -> "Client":
        """Open a connection that is kept alive."""
        context = ssl.create_default_context(cafile=str(ca))
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
        return cls(server, connection)

    def ask(self, endpoint: Endpoint, obj: Json, old: Json | None) -> Verdict:
        """Return the verdict, with the object after the patch."""
        self.connection.request(
            "POST",
            self.server.path(obj["kind"], endpoint),
            review(obj, endpoint, old=old, stored=False),
            {"Content-Type": "application/json"},
        )
        answer = self.connection.getresponse()
        response: Json = json.loads(answer.read())["response"]
        status = response.get("status") or {}
        causes = status.get("details", {}).get("causes", [])
        patch = json.loads(base64.b64decode(response.get("patch", "W10=")))
        return Verdict(
            allowed=response["allowed"],
            undecodable=not response["allowed"] and status.get("code") == BAD_REQUEST,
            causes=tuple(
                sorted((cause["field"], cause["reason"], cause["message"]) for cause in causes)
            ),
            warnings=tuple(sorted(response.get("warnings") or ())),
            result=jsonpatch.apply_patch(obj, patch) if patch else obj,
        )


def check(ours: Server, peer: Server, *, ca: Path) -> Parity:
    """Send every question to both servers. Raises NotEqualError with each difference."""
    parity = Parity()
    clients = Client.of(ours, ca), Client.of(peer, ca)
    for question in questions():
        mutated, theirs = (client.ask("mutate", question.obj, question.old) for client in clients)
        _compare(parity, f"{question.name}, mutate", mutated, theirs)
        if mutated.allowed and theirs.allowed:
            validated = [client.ask("validate", mutated.result, question.old) for client in clients]
            _compare(parity, f"{question.name}, validate", *validated)
    if parity.differences:
        listed = "\n".join(parity.differences)
        raise NotEqualError(f"the peer differs in {len(parity.differences)} reviews:\n{listed}")
    return parity


def questions() -> Iterator[Question]:
    """Yield creates of the corpus, updates from and to valid objects and of another field."""
    sys.path.insert(0, str(ROOT / "api" / "tests"))
    import admission_cases  # type: ignore[import-not-found] # noqa: PLC0415 - no package

    for workload in WORKLOADS:
        yield Question(workload.title, workload.make(0))
    # Nothing but the fraction to change: a defaulter that sees no change makes no patch.
    complete = as_received(sample_bot(0))
    complete["spec"]["riskManagement"]["stopLossPercentage"] = 2.5
    yield Question("sample bot with all defaults and a fraction", complete)
    for case in (*admission_cases.CASES, *admission_cases.BOUNDS):
        if (
            _never_seen(case.manifest, case.errors)
            or _is_about_credentials(case)
            or _runs_a_built_in_strategy(case.manifest)
            or _needs_more_than_the_peer(case.manifest)
        ):
            continue
        obj = case.manifest
        sound = admission_cases.BOT if case.kind == "TradingBot" else admission_cases.REGISTRY
        yield Question(f"{case.name}, created", obj)
        if "name" in obj["metadata"] and isinstance(obj.get("spec"), dict):
            named = deepcopy(sound)
            named["metadata"]["name"] = obj["metadata"]["name"]
            yield Question(f"{case.name}, updated to", obj, named)
            if case.refused_by != "schema":
                yield Question(f"{case.name}, updated from", named, obj)
                yield Question(f"{case.name}, updated elsewhere", _touched(obj), obj)


def _touched(obj: Json) -> Json:
    touched = deepcopy(obj)
    if obj["kind"] == "TradingBot":
        touched["spec"]["updatePolicy"] = "Manual"
    else:
        touched["spec"]["deletionPolicy"] = "Retain"
    return touched


def _never_seen(obj: Json, errors: tuple[str, ...]) -> bool:
    return _has_null(obj) or any("unknown field" in error for error in errors)


def _is_about_credentials(case: Any) -> bool:
    said = (case.name, *case.errors, *case.warnings)
    return any("credential" in text or "looks random" in text for text in said)


def _runs_a_built_in_strategy(obj: Json) -> bool:
    """Return whether our webhooks check the parameters of a strategy: the peer does not know them,
    and no workload has such a bot."""
    spec, annotations = obj.get("spec"), obj["metadata"].get("annotations")
    if not isinstance(spec, dict) or not isinstance(spec.get("strategy"), dict):
        return False
    image = repository(str(spec["strategy"].get("image")))
    return image in DEFAULT_STRATEGY_IMAGES or ANNOTATION in (annotations or ())


def _needs_more_than_the_peer(obj: Json) -> bool:
    """Return whether a bot has fields that the peer does not know: no workload has them."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return False
    exchange = spec.get("exchange")
    more = {"proxyURL", "caBundle"} & set(exchange if isinstance(exchange, dict) else ())
    return "pod" in spec or bool(more)


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_null(inner) for inner in value.values())
    if isinstance(value, list):
        return any(_has_null(inner) for inner in value)
    return value is None


def _compare(parity: Parity, name: str, ours: Verdict, theirs: Verdict) -> None:
    parity.reviews += 1
    if ours.allowed != theirs.allowed:
        parity.differences.append(
            f"{name}: allowed {ours.allowed} {ours.causes},"
            f" by the peer {theirs.allowed} {theirs.causes}"
        )
        return
    if not ours.allowed:
        parity.denials += 1
        parity.same_words += ours.causes == theirs.causes
    if theirs.undecodable:
        return  # a value of another JSON type: Go's decoder stops at the first one
    if [cause[:2] for cause in ours.causes] != [cause[:2] for cause in theirs.causes]:
        parity.differences.append(f"{name}: causes {ours.causes}, of the peer {theirs.causes}")
    elif ours.allowed and ours.warnings != theirs.warnings:
        parity.differences.append(
            f"{name}: warnings {ours.warnings}, of the peer {theirs.warnings}"
        )
    elif ours.allowed and ours.result != theirs.result:
        parity.differences.append(f"{name}: {_differing(ours.result, theirs.result)}")


def _differing(ours: Json, theirs: Json) -> str:
    operations = jsonpatch.make_patch(ours, theirs)
    return f"the peer's object differs by {operations}"
