"""The reasons of conditions, stable for programs."""

from enum import StrEnum


class Reason(StrEnum):
    """Why something is as it is."""

    APPLIED = "Applied"
    AVAILABLE = "Available"
    AWAITING_APPROVAL = "AwaitingApproval"
    AWAITING_RELOAD = "AwaitingReload"
    CREDENTIALS_FOUND = "CredentialsFound"
    DAILY_LOSS_LIMIT = "DailyLossLimit"
    HALTED = "Halted"
    INVALID_SPEC = "InvalidSpec"
    KEY_NOT_FOUND = "KeyNotFound"
    NAME_CONFLICT = "NameConflict"
    NOTHING_WAITS = "NothingWaits"
    NOT_AVAILABLE = "NotAvailable"
    NOT_READ = "NotRead"
    NOT_RUNNING = "NotRunning"
    NO_REPORT = "NoReport"
    OUTSIDE_HOURS = "OutsideHours"
    PAUSED = "Paused"
    POSITIONS_OPEN = "PositionsOpen"
    POSITIONS_UNKNOWN = "PositionsUnknown"
    REGISTRY_OFF = "RegistryOff"
    REGISTRY_REFUSED = "RegistryRefused"
    REGISTRY_UNAVAILABLE = "RegistryUnavailable"
    REPORTED = "Reported"
    REPORT_STALE = "ReportStale"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a secret
    SYNCED = "Synced"
    SYNC_PENDING = "SyncPending"
    WITHIN_HOURS = "WithinHours"
    WITHIN_LIMIT = "WithinLimit"
