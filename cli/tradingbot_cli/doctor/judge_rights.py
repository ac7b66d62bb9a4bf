"""Judge whether each account has the rights of this version and no forbidden ones. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from tradingbot_cli.doctor.expected import OPERATOR, WEBHOOKS, Right
from tradingbot_cli.doctor.facts import Unseen
from tradingbot_cli.doctor.findings import Finding, failed, listed, ok, unknown, warning
from tradingbot_cli.doctor.remedies import APPLY, unless_meant
from tradingbot_cli.terminal import count

_OPTIONAL = {
    (OPERATOR, "customresourcedefinitions", "list"): "a definition that comes late needs a restart",
    (
        OPERATOR,
        "customresourcedefinitions",
        "watch",
    ): "a definition that comes late needs a restart",
}
"""Rights that may be removed, as documented in config/, and what is lost without them."""


def forbidden(account: str) -> tuple[Right, ...]:
    """Return the rights that an account must not have: each returns the content of every Secret.

    The webhooks must not read any Secret. Older manifests granted that, and `kubectl apply`
    does not remove what they granted.
    """
    verbs = ("get", "list", "watch") if account == WEBHOOKS else ("list", "watch")
    return tuple(Right(account, "", "secrets", verb) for verb in verbs)


def judge_rights(seen: Mapping[Right, bool | Unseen], *, namespace: str) -> Iterator[Finding]:
    """Yield one finding for each account, from the API server's answers."""
    accounts: defaultdict[str, dict[Right, bool | Unseen]] = defaultdict(dict)
    for right, granted in seen.items():
        accounts[right.account][right] = granted
    for account, rights in accounts.items():
        yield _judge(account, rights, set(forbidden(account)), namespace)


def _judge(
    account: str, rights: Mapping[Right, bool | Unseen], never: AbstractSet[Right], namespace: str
) -> Finding:
    check = f"rights/{account}"
    unseen = next((granted for granted in rights.values() if isinstance(granted, Unseen)), None)
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
        message = f"may {listed(too_much)}, which it does not need: its token can read every Secret"
        find = f"kubectl get clusterrolebindings,rolebindings -A -o wide | grep {account}"
        return warning(check, "TooMuch", message, f"find the binding that grants this: {find}")
    if missing:
        lost = sorted({_loss(right) or "" for right in missing})
        message = f"may not {listed(right.words for right in missing)}: {listed(lost)}"
        return warning(check, "Optional", message, unless_meant())
    number = len(set(rights) - never)
    needs = f"has the {count(number, 'right')} that it needs" if number else "needs no rights"
    verbs = " or ".join(sorted({right.verb for right in never}))
    return ok(check, f"{needs}, and may not {verbs} Secrets")


def _loss(right: Right) -> str | None:
    return _OPTIONAL.get((right.account, right.resource, right.verb))
