"""What the webhook configurations must say, written down a second time, by a reader's hand."""

from typing import Any

Settings = dict[str, Any]

NOT_BEING_DELETED = {
    "name": "not-being-deleted",
    "expression": "oldObject == null || !has(oldObject.metadata.deletionTimestamp)",
}
SPEC_CHANGES = {
    "name": "spec-changes",
    "expression": "oldObject == null || object.?spec != oldObject.?spec",
}
DOES_NOT_LEAVE_IT_PAUSED = {
    "name": "does-not-leave-it-paused",
    "expression": (
        "oldObject == null || "
        "!(has(object.spec) && type(object.spec) == map && "
        "has(object.spec.paused) && object.spec.paused == true)"
    ),
}
STOP_NOT_BEING_DELETED = {
    "name": "not-being-deleted",
    "expression": "!has(oldObject.metadata.deletionTimestamp)",
}
LEAVES_IT_PAUSED = {
    "name": "leaves-it-paused",
    "expression": (
        "has(object.spec) && type(object.spec) == map && "
        "has(object.spec.paused) && object.spec.paused == true"
    ),
}


def _webhook(
    name: str,
    path: str,
    resource: str,
    *conditions: Settings,
    **different: Any,
) -> Settings:
    operations = different.pop("operations", ["CREATE", "UPDATE"])
    return {
        "name": name,
        "clientConfig": {
            "service": {
                "name": "tradingbot-webhooks",
                "namespace": "tradingbot-system",
                "path": path,
                "port": 443,
            }
        },
        "rules": [
            {
                "apiGroups": ["trading.io"],
                "apiVersions": ["v1"],
                "resources": [resource],
                "operations": operations,
                "scope": "Namespaced",
            }
        ],
        "matchConditions": list(conditions),
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": 5,
        "admissionReviewVersions": ["v1"],
        **different,
    }


MUTATING = [
    _webhook(
        "tradingbot.mutate.trading.io",
        "/mutate",
        "tradingbots",
        NOT_BEING_DELETED,
        SPEC_CHANGES,
        DOES_NOT_LEAVE_IT_PAUSED,
        reinvocationPolicy="IfNeeded",
    ),
    # The one that must never hold a stop up.
    _webhook(
        "stop.tradingbot.mutate.trading.io",
        "/mutate/stop",
        "tradingbots",
        STOP_NOT_BEING_DELETED,
        LEAVES_IT_PAUSED,
        operations=["UPDATE"],
        failurePolicy="Ignore",
        timeoutSeconds=2,
        reinvocationPolicy="IfNeeded",
    ),
    _webhook(
        "assetregistry.mutate.trading.io",
        "/mutate",
        "assetregistries",
        NOT_BEING_DELETED,
        SPEC_CHANGES,
        reinvocationPolicy="IfNeeded",
    ),
]
VALIDATING = [
    _webhook(
        "tradingbot.validate.trading.io",
        "/validate",
        "tradingbots",
        NOT_BEING_DELETED,
        SPEC_CHANGES,
        DOES_NOT_LEAVE_IT_PAUSED,
    ),
    _webhook(
        "assetregistry.validate.trading.io",
        "/validate",
        "assetregistries",
        NOT_BEING_DELETED,
        SPEC_CHANGES,
    ),
]
CONFIGURATIONS = {
    "MutatingWebhookConfiguration": ("tradingbot-mutating", MUTATING),
    "ValidatingWebhookConfiguration": ("tradingbot-validating", VALIDATING),
}
