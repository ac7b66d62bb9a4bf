"""Whether the API server reaches the webhooks: what came of two dry runs, in words. Pure.

The API server says why a call failed in the words of Go's libraries. They are no interface, but
have been the same for years; one that is not known here is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tradingbot_cli.doctor.facts import Reply, Unseen
from tradingbot_cli.doctor.findings import Finding, failed, ok, unknown
from tradingbot_cli.doctor.remedies import APPLY, injection, pods, reissue, renewal, way_in

MUTATING, VALIDATING = "admission/defaults", "admission/checks"

_FAILED_CALL = re.compile(r'failed calling webhook "([^"]+)": ?(.*)', re.DOTALL)
_DENIED = re.compile(r'admission webhook "([^"]+)" denied the request')
_VALIDATING_NAME, _OURS = "tradingbot.validate.trading.io", ".trading.io"
_CREATED, _FORBIDDEN, _NOT_FOUND, _INVALID = 201, 403, 404, 422


_CAUSES = (
    ("has expired or is not yet valid", "Expired", "its certificate has expired"),
    ("unknown authority", "UnknownAuthority", "the caBundle does not hold its certificate's CA"),
    ("certificate is valid for", "WrongHost", "its certificate is for another host name"),
    ("any IP SANs", "WrongHost", "its certificate is for another host name"),
    ("not valid for any names", "WrongHost", "its certificate is for another host name"),
    ("no endpoints available", "NoEndpoints", "no replica of the webhooks is ready"),
    ("connection refused", "ConnectionRefused", "nobody listens there"),
    ("deadline exceeded", "Timeout", "no answer came in time"),
    ("i/o timeout", "Timeout", "no answer came in time"),
    ("Timeout exceeded", "Timeout", "no answer came in time"),
    ("no route to host", "Timeout", "there is no way to it"),
    ("not found", "ServiceMissing", "its Service does not exist"),
    ("no such host", "WrongAddress", "its host name is not known"),
)
"""What stands in the API server's message, the reason, and what that means. The first one counts:
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
    """Why the API server can't ask a webhook."""

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
    """What stands behind the end of `failed calling webhook "...":`."""
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
    if reply.status == _CREATED:
        risk = reply.body.get("spec", {}).get("riskManagement", {})
        if "takeProfitPercentage" in risk:
            return ok(MUTATING, "a bot is completed (dry run, nothing stored)")
        message = "a bot was accepted and not completed: the mutating webhook is not asked"
        return failed(MUTATING, "NotAsked", message, APPLY)
    message = f"a bot that is right was refused ({reply.status}): {reply.message}"
    return failed(MUTATING, "Refused", message, APPLY)


def _judge_checks(reply: Reply | Unseen, namespace: str) -> Finding:
    broken = _not_judged(reply, VALIDATING, namespace)
    if broken is not None or isinstance(reply, Unseen):
        return broken or unknown(VALIDATING, "")
    denied = _DENIED.search(reply.message)
    if denied and denied[1] == _VALIDATING_NAME:
        return ok(VALIDATING, "a bot that contradicts itself is refused (dry run)")
    if reply.status == _CREATED:
        message = "a bot that is wrong was accepted: the validating webhook is not asked"
        return failed(VALIDATING, "NotAsked", message, APPLY)
    message = f"a bot that is wrong was refused by somebody else ({reply.status}): {reply.message}"
    return unknown(VALIDATING, message)


def _not_judged(reply: Reply | Unseen, check: str, namespace: str) -> Finding | None:
    """The finding where the webhook could not have its say."""
    if isinstance(reply, Unseen):
        return unknown(check, reply.why)
    call = _FAILED_CALL.search(reply.message)
    if call:
        return _failed_call(check, name=call[1], said=call[2], namespace=namespace)
    denied = _DENIED.search(reply.message)
    if denied and not denied[1].endswith(_OURS):
        return unknown(check, f"somebody else's webhook {denied[1]} refuses the sample bot")
    if reply.status == _FORBIDDEN and not denied:
        return unknown(check, f"the API server does not let you try it: {reply.message}")
    if reply.status == _NOT_FOUND:
        message = f"the API server knows no tradingbots, or no namespace {namespace}"
        return failed(check, "NotServed", message, APPLY)
    if reply.status == _INVALID and not denied:
        message = f"the definition in the cluster refuses a bot of this version: {reply.message}"
        return failed(check, "Outdated", message, APPLY)
    return None


def _failed_call(check: str, *, name: str, said: str, namespace: str) -> Finding:
    if not name.endswith(_OURS):
        return unknown(check, f"somebody else's webhook {name} does not answer: {said}")
    if check == VALIDATING and "mutate" in name:
        return unknown(check, f"{name} comes first, and could not be asked")
    why = cause(said, namespace)
    message = f"the API server can't ask {name}: {why.meaning} ({_short(said)})"
    return failed(check, why.reason, message, *why.todo)


def _short(said: str) -> str:
    """Without what it repeats: the address, which stands in the configuration."""
    return said.removeprefix("failed to call webhook: ").strip()
