"""Whether the API server reaches the webhooks: what came of two dry runs, in words. Pure.

The API server says why a call failed in the words of Go's libraries. They are not an
interface, but have been the same for years; one that is not known here is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tradingbot_cli.doctor.facts import Reply, Unseen
from tradingbot_cli.doctor.findings import Finding, failed, ok, unknown
from tradingbot_cli.doctor.remedies import APPLY, injection, pods, reissue, renewal, way_in
from tradingbot_cli.doctor.sample_bot import FRACTION

MUTATING, VALIDATING = "admission/defaults", "admission/checks"

_FAILED_CALL = re.compile(r'failed calling webhook "([^"]+)": ?(.*)', re.DOTALL)
_DENIED = re.compile(r'admission webhook "([^"]+)" denied the request')
_VALIDATING_NAME, _OURS = "tradingbot.validate.trading.io", ".trading.io"
_FRACTION_REFUSED = re.compile(r'stopLossPercentage in body must be of type [a-z,]+: "number"')
_CREATED, _FORBIDDEN, _NOT_FOUND, _INVALID = 201, 403, 404, 422


_CAUSES = (
    ("has expired or is not yet valid", "Expired", "its certificate has expired"),
    ("unknown authority", "UnknownAuthority", "the caBundle does not hold its certificate's CA"),
    ("certificate is valid for", "WrongHost", "its certificate is for another host name"),
    ("any IP SANs", "WrongHost", "its certificate is for another host name"),
    ("not valid for any names", "WrongHost", "its certificate is for another host name"),
    ("no endpoints available", "NoEndpoints", "no replica of the webhooks is ready"),
    ("connection refused", "ConnectionRefused", "nothing listens there"),
    ("deadline exceeded", "Timeout", "no answer came in time"),
    ("i/o timeout", "Timeout", "no answer came in time"),
    ("Timeout exceeded", "Timeout", "no answer came in time"),
    ("no route to host", "Timeout", "there is no route to it"),
    ("not found", "ServiceMissing", "its Service does not exist"),
    ("no such host", "WrongAddress", "its host name can't be resolved"),
)
"""A part of the API server's message, the reason, and what that means. The first one counts:
Go's messages about certificates also name the host, which may be any word."""

_STEPS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "Expired": renewal,
    "UnknownAuthority": injection,
    "WrongHost": reissue,
    "Timeout": way_in,
    "ServiceMissing": lambda _: (APPLY,),
    "WrongAddress": lambda _: (APPLY,),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the API server can't call a webhook."""

    reason: str
    meaning: str
    todo: tuple[str, ...]


def judge_admission(
    defaulted: Reply | Unseen, refused: Reply | Unseen, *, namespace: str
) -> Iterator[Finding]:
    """From the answers to a bot that must be completed, and to one that must be refused."""
    yield _judge_defaults(defaulted, namespace)
    yield _judge_checks(refused, namespace)


def cause(said: str, namespace: str) -> Cause:
    """Return the text after `failed calling webhook "...":`."""
    for needle, reason, meaning in _CAUSES:
        if needle in said:
            steps = _STEPS.get(reason)
            return Cause(
                reason, meaning, steps(namespace) if steps else pods(namespace, "webhooks")
            )
    return Cause("Unreachable", "it can't be called", pods(namespace, "webhooks"))


def _judge_defaults(reply: Reply | Unseen, namespace: str) -> Finding:
    broken = _not_judged(reply, MUTATING, namespace)
    if broken is not None or isinstance(reply, Unseen):
        return broken or unknown(MUTATING, "")
    risk = reply.body.get("spec", {}).get("riskManagement", {})
    if reply.status == _CREATED and risk.get("stopLossPercentage") == FRACTION:
        return ok(MUTATING, "a bot gets its defaults (dry run, nothing stored)")
    if reply.status == _CREATED or _is_of_the_fraction(reply):
        message = "a number was not made a string: the mutating webhook is not called"
        return failed(MUTATING, "NotAsked", message, APPLY)
    message = f"a valid bot was refused ({reply.status}): {reply.message}"
    return failed(MUTATING, "Refused", message, APPLY)


def _judge_checks(reply: Reply | Unseen, namespace: str) -> Finding:
    broken = _not_judged(reply, VALIDATING, namespace)
    if broken is not None or isinstance(reply, Unseen):
        return broken or unknown(VALIDATING, "")
    denied = _DENIED.search(reply.message)
    if denied and denied[1] == _VALIDATING_NAME:
        return ok(VALIDATING, "an invalid bot is refused (dry run)")
    if reply.status == _CREATED:
        message = "an invalid bot was accepted: the validating webhook is not called"
        return failed(VALIDATING, "NotAsked", message, APPLY)
    message = f"an invalid bot was refused by something else ({reply.status}): {reply.message}"
    return unknown(VALIDATING, message)


def _not_judged(reply: Reply | Unseen, check: str, namespace: str) -> Finding | None:
    """Return the finding for a webhook that could not be called."""
    if isinstance(reply, Unseen):
        return unknown(check, reply.why)
    call = _FAILED_CALL.search(reply.message)
    if call:
        return _failed_call(check, name=call[1], said=call[2], namespace=namespace)
    denied = _DENIED.search(reply.message)
    if denied and not denied[1].endswith(_OURS):
        return unknown(check, f"the webhook {denied[1]} of another product refuses the sample bot")
    if reply.status == _FORBIDDEN and not denied:
        return unknown(check, f"permission denied: {reply.message}")
    if reply.status == _NOT_FOUND:
        message = f"the API server serves no tradingbots, or has no namespace {namespace}"
        return failed(check, "NotServed", message, APPLY)
    if reply.status == _INVALID and not denied and not _is_of_the_fraction(reply):
        message = f"the definition in the cluster refuses a bot of this version: {reply.message}"
        return failed(check, "Outdated", message, APPLY)
    return None


def _is_of_the_fraction(reply: Reply) -> bool:
    """Whether the schema has refused the fraction of the sample bot, as no webhook made it a
    string before. Every version of the definition refuses it."""
    return reply.status == _INVALID and _FRACTION_REFUSED.search(reply.message) is not None


def _failed_call(check: str, *, name: str, said: str, namespace: str) -> Finding:
    if not name.endswith(_OURS):
        return unknown(check, f"somebody else's webhook {name} does not answer: {said}")
    if check == VALIDATING and "mutate" in name:
        return unknown(check, f"{name} is called first and can't be reached")
    why = cause(said, namespace)
    message = f"the API server can't call {name}: {why.meaning} ({_short(said)})"
    return failed(check, why.reason, message, *why.todo)


def _short(said: str) -> str:
    """Without what it repeats: the address, which is in the configuration."""
    return said.removeprefix("failed to call webhook: ").strip()
