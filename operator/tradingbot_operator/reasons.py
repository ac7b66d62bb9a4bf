"""The reasons of conditions, on which programs may rely."""

from enum import StrEnum


class Reason(StrEnum):
    """The reason of a condition."""

    ABOVE_LIMIT = "AboveLimit"
    ADDED_BY_OTHERS = "AddedByOthers"
    ADOPTING = "Adopting"
    APPLIED = "Applied"
    AVAILABLE = "Available"
    AWAITING_APPROVAL = "AwaitingApproval"
    AWAITING_RELOAD = "AwaitingReload"
    CHANGED_BY_ADMISSION = "ChangedByAdmission"
    CREDENTIALS_FOUND = "CredentialsFound"
    DAILY_LOSS_LIMIT = "DailyLossLimit"
    EXCHANGE_UNREACHABLE = "ExchangeUnreachable"
    FIGURES_UNKNOWN = "FiguresUnknown"
    GATEWAY_UNAVAILABLE = "GatewayUnavailable"
    ENTRIES_NOT_GRANTED = "EntriesNotGranted"
    HALTED = "Halted"
    INVALID_SPEC = "InvalidSpec"
    KEY_EMPTY = "KeyEmpty"
    KEY_HAS_WHITESPACE = "KeyHasWhitespace"
    KEYS_REFUSED = "KeysRefused"
    KEY_MAY_WITHDRAW = "KeyMayWithdraw"
    KEY_NOT_FOUND = "KeyNotFound"
    KEY_NOT_TEXT = "KeyNotText"
    NAME_CONFLICT = "NameConflict"
    NOTHING_WAITS = "NothingWaits"
    NOT_AVAILABLE = "NotAvailable"
    NOT_IN_SPEC = "NotInSpec"
    NOT_OURS = "NotOurs"
    NOT_READ = "NotRead"
    NOT_RECONCILED = "NotReconciled"
    NOT_RUNNING = "NotRunning"
    NOT_STOPPING = "NotStopping"
    NO_REPORT = "NoReport"
    OFF_HOURS = "OffHours"
    OUTSIDE_HOURS = "OutsideHours"
    PAUSED = "Paused"
    POD_REMAINS = "PodRemains"
    POSITIONS_OPEN = "PositionsOpen"
    POSITIONS_UNKNOWN = "PositionsUnknown"
    PRICES_STALE = "PricesStale"
    RECONCILED = "Reconciled"
    RECONCILE_FAILED = "ReconcileFailed"
    REFUSED = "Refused"
    REGISTRY_OFF = "RegistryOff"
    REGISTRY_REFUSED = "RegistryRefused"
    REGISTRY_UNAVAILABLE = "RegistryUnavailable"
    REPLICA_FAILURE = "ReplicaFailure"
    REPORTED = "Reported"
    REPORT_STALE = "ReportStale"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a secret
    STOPPED = "Stopped"
    STOPPING = "Stopping"
    SYNCED = "Synced"
    SYNC_PENDING = "SyncPending"
    TERMINATING = "Terminating"
    UNREADABLE = "Unreadable"
    WITHIN_HOURS = "WithinHours"
    WITHIN_LIMIT = "WithinLimit"


WITHOUT_CREDENTIALS = frozenset(
    {
        Reason.SECRET_NOT_FOUND,
        Reason.KEY_NOT_FOUND,
        Reason.KEY_EMPTY,
        Reason.KEY_HAS_WHITESPACE,
        Reason.KEY_NOT_TEXT,
    }
)
"""The reasons why a bot waits for its credentials."""
