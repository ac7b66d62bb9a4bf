"""Rights: what config/rbac grants, and what the audit log says was used."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from person import Object
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE
from tradingbot_dev.product.system import System

DISCOVERY = {"system:discovery", "system:public-info-viewer", "system:basic-user"}
"""What Kubernetes lets every account do: see what is served, and who it is itself."""


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource, in a namespace or (empty) all, for a name or (empty) all."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    name: str = ""

    def allows(self, use: "Right") -> bool:
        """Whether it is by this right that `use` was allowed."""
        same = (self.group, self.resource, self.verb) == (use.group, use.resource, use.verb)
        here = self.namespace in {"", use.namespace}
        return same and here and self.name in {"", use.name}


# ---- what is granted


def granted(system: System, account: str) -> set[Right]:
    """All that is bound to the ServiceAccount, as installed from config/."""
    found = bound(system, account)
    assert found, f"nothing is bound to {account}"
    return found


def bound(system: System, account: str) -> set[Right]:
    found = set()
    for binding in objects(system, "clusterrolebinding,rolebinding"):
        subject = {"kind": "ServiceAccount", "name": account, "namespace": SYSTEM_NAMESPACE}
        if subject in binding.get("subjects", []):
            role = binding["roleRef"]
            namespace = binding["metadata"].get("namespace", "")
            where = ("-n", namespace) if namespace else ()
            (rules,) = (one["rules"] for one in objects(system, role["kind"], role["name"], *where))
            found |= {right for rule in rules for right in expanded(rule, namespace)}
    return found


def expanded(rule: Object, namespace: str) -> Iterator[Right]:
    assert "nonResourceURLs" not in rule
    parts = (rule["apiGroups"], rule["resources"], rule["verbs"])
    for group, resource, verb in product(*parts):
        assert "*" not in {group, resource, verb}, rule
        for name in rule.get("resourceNames", [""]):
            yield Right(group, resource, verb, namespace, name)


def objects(system: System, kind: str, *arguments: str) -> list[Object]:
    everywhere = () if arguments else ("--all-namespaces",)
    done = system.plane.kubectl("get", kind, *arguments, *everywhere, "-o", "json", check=True)
    found = json.loads(done.stdout)
    return list(found["items"]) if "items" in found else [found]


# ---- what was used


def events_of(system: System, account: str) -> list[Object]:
    user = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{account}"
    found = system.plane.audit_events(containing=user)
    return [event for event in found if event["user"]["username"] == user]


def decision(event: Object, what: str) -> str:
    return str(event.get("annotations", {}).get(f"authorization.k8s.io/{what}", ""))


def refused(events: Iterable[Object]) -> set[str]:
    """Requests for which there was no right."""
    return {
        f"{event['verb']} {event['requestURI']}"
        for event in events
        if decision(event, "decision") != "allow"
    }


def used(events: Iterable[Object]) -> set[Right]:
    """The rights that were needed for these requests, but for what everybody may do."""
    found = set()
    for event in events:
        if any(f'of ClusterRole "{role}"' in decision(event, "reason") for role in DISCOVERY):
            continue
        found |= set(needed(event))
    return found


def needed(event: Object) -> Iterator[Right]:
    ref = event["objectRef"]
    resource = "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
    where = ref.get("namespace", ""), ref.get("name", "")
    yield Right(ref.get("apiGroup", ""), resource, event["verb"], *where)
    if event["verb"] == "patch" and event["responseStatus"]["code"] == 201:
        # Server-side apply of what was not there: a second question, that the log does not show.
        yield Right(ref.get("apiGroup", ""), resource, "create", *where)


def used_in_registry(system: System, account: str) -> set[Right]:
    """What the registry has asked the API server about the account, and was told that it may."""
    found = set()
    for event in events_of(system, "tradingbot-registry"):
        if event["objectRef"]["resource"] == "subjectaccessreviews":
            asked, answer = event["requestObject"]["spec"], event["responseObject"]["status"]
            if asked["user"].endswith(f":{account}"):
                assert answer["allowed"], asked
                about = asked["resourceAttributes"]
                found.add(Right(about["group"], about["resource"], about["verb"]))
    return found


def not_granted(rights: Iterable[Right], uses: Iterable[Right]) -> list[Right]:
    """Uses that none of the rights allows."""
    rights = list(rights)
    return sorted(use for use in uses if not any(right.allows(use) for right in rights))


def not_used(rights: Iterable[Right], uses: Iterable[Right]) -> list[Right]:
    """Rights without which every use would have been allowed."""
    uses = list(uses)
    return sorted(right for right in rights if not any(right.allows(use) for use in uses))
