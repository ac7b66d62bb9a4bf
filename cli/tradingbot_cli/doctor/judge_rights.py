"""Whether every account has the rights of this version, and none that it must not have. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from tradingbot_cli.doctor.expected import OPERATOR, WEBHOOKS, Right
from tradingbot_cli.doctor.facts import Unseen
from tradingbot_cli.doctor.findings import Finding, failed, listed, ok, unknown, warning
from tradingbot_cli.doctor.remedies import APPLY, unless_meant
from tradingbot_cli.terminal import count

_FORBIDDEN = (("", "secrets", "list"), ("", "secrets", "watch"))
_OPTIONAL = {
    (WEBHOOKS, "secrets", "get"): "nobody is warned that a bot's Secret does not exist",
    (OPERATOR, "customresourcedefinitions", "list"): "a definition that comes late needs a restart",
    (
        OPERATOR,
        "customresourcedefinitions",
        "watch",
    ): "a definition that comes late needs a restart",
}
"""What may be taken away, as config/ says, and what is lost with it."""


def forbidden(account: str) -> tuple[Right, ...]:
    """What no account of ours may do: either returns the content of every Secret."""
    return tuple(Right(account, group, resource, verb) for group, resource, verb in _FORBIDDEN)


def judge_rights(
    seen: Mapping[Right, bool | Unseen], *, namespace: str, secret_lookup: bool | None
) -> Iterator[Finding]:
    """One finding for each account, from what the API server says that it may do.

    `secret_lookup` is whether the webhooks are set to look for Secrets; None if that could not be
    seen, and then nothing is said of the right that it takes.
    """
    accounts: defaultdict[str, dict[Right, bool | Unseen]] = defaultdict(dict)
    for right, granted in seen.items():
        rights = accounts[right.account]
        if secret_lookup is not None or not _is_look_up(right):
            rights[right] = granted
    for account, rights in accounts.items():
        never = set(forbidden(account))
        if not secret_lookup:
            never |= {right for right in rights if _is_look_up(right)}
        yield _judge(account, rights, never, namespace)


def _judge(
    account: str, rights: Mapping[Right, bool | Unseen], never: AbstractSet[Right], namespace: str
) -> Finding:
    check = f"rights/{account}"
    unseen = next((one for one in rights.values() if isinstance(one, Unseen)), None)
    if unseen is not None:
        return unknown(check, unseen.why)
    missing = [right for right, granted in rights.items() if not granted and right not in never]
    needed = [right for right in missing if _loss(right) is None]
    ask = f"--as=system:serviceaccount:{namespace}:{account}"
    if needed:
        message = f"may not {listed(right.words for right in needed)}"
        see = f"see what it may do: kubectl auth can-i --list {ask}"
        return failed(check, "Missing", message, APPLY, see)
    too_much = [right.words for right, granted in rights.items() if granted and right in never]
    if too_much:
        message = (
            f"may {listed(too_much)}, which it is not set to do: its token could read every Secret"
        )
        find = f"kubectl get clusterrolebindings,rolebindings -A -o wide | grep {account}"
        return warning(check, "TooMuch", message, f"find who granted that: {find}")
    if missing:
        lost = sorted({_loss(right) or "" for right in missing})
        message = f"may not {listed(right.words for right in missing)}: {listed(lost)}"
        return warning(check, "Optional", message, unless_meant())
    needs = count(len(set(rights) - never), "right")
    verbs = " or ".join(sorted({right.verb for right in never}))
    return ok(check, f"has all that it needs, {needs}, and may not {verbs} Secrets")


def _is_look_up(right: Right) -> bool:
    """Whether it is for the warning that a bot's Secret does not exist."""
    return (right.account, right.resource, right.verb) == (WEBHOOKS, "secrets", "get")


def _loss(right: Right) -> str | None:
    return _OPTIONAL.get((right.account, right.resource, right.verb))
