"""The status of a `TradingBot`: what the operator reports."""

from typing import Annotated

from pydantic import Field

from tradingbot_api.constraints import NotNull, list_type
from tradingbot_api.model import AWAITING_OPERATOR, NEVER_OBSERVED, Condition, Model


class DeployedResource(Model):
    """A child that the operator maintains for the bot."""

    api_version: str = Field(description="API version of the child.")
    kind: str = Field(description="Kind of the child.")
    name: str = Field(description="Name of the child, in the bot's namespace.")
    ready: bool = Field(description="Whether the child is ready.")


class ScheduleStatus(Model):
    """The bot's position in its schedule."""

    open: bool = Field(description="Whether the schedule allows the bot to run now.")
    next_transition: Annotated[str | None, NotNull()] = Field(
        None,
        description="When `open` changes next (RFC 3339).",
        json_schema_extra={"format": "date-time"},
    )


class RiskStatus(Model):
    """The trading day, the figures that the bot reported, and the daily loss halt."""

    trading_day: Annotated[str | None, NotNull()] = Field(
        None,
        description="Current trading day: a date in the time zone of the schedule.",
        json_schema_extra={"format": "date"},
    )
    day_ends_at: Annotated[str | None, NotNull()] = Field(
        None,
        description="When the next trading day begins (RFC 3339). A change of timeZone or dayStart"
        " takes effect then.",
        json_schema_extra={"format": "date-time"},
    )
    day_pnl: Annotated[str | None, NotNull()] = Field(
        None,
        alias="dayPnL",
        description="Profit or loss of the trading day, as reported by the bot, in the quote"
        " currency.",
    )
    open_positions: Annotated[int | None, NotNull()] = Field(
        None, description="Number of open positions, as reported by the bot."
    )
    exposure: Annotated[str | None, NotNull()] = Field(
        None,
        description="Notional value of all open positions, as reported by the bot, in the quote"
        " currency.",
    )
    reported_at: Annotated[str | None, NotNull()] = Field(
        None,
        description="When the bot reported these figures (RFC 3339). Changed figures are written"
        " at most once a minute; unchanged figures are not written again.",
        json_schema_extra={"format": "date-time"},
    )
    halted_since: Annotated[str | None, NotNull()] = Field(
        None,
        description="When the daily loss limit was reached (RFC 3339). The bot is halted while this"
        " field is set, also after a restart of the operator.",
        json_schema_extra={"format": "date-time"},
    )
    halt_reason: Annotated[str | None, NotNull()] = Field(
        None, description="Why the bot was halted."
    )
    resumes_at: Annotated[str | None, NotNull()] = Field(
        None,
        description="When a halted bot resumes automatically (RFC 3339).",
        json_schema_extra={"format": "date-time"},
    )


class EffectiveBalance(Model):
    """An asset of the account in mode Paper."""

    asset: str = Field(description="The asset.")
    amount: str = Field(description="How much of it the account has at first.")


class EffectiveExchange(Model):
    """Effective values below spec.exchange, of a bot whose limits a gateway keeps."""

    dialect: Annotated[str | None, NotNull()] = Field(
        None, description="API that the exchange speaks."
    )
    quote_currency: Annotated[str | None, NotNull()] = Field(
        None, description="Currency of all limits and figures."
    )
    paper_balance: Annotated[list[EffectiveBalance] | None, list_type("atomic"), NotNull()] = Field(
        None, description="What the account has at first, in mode Paper."
    )


class EffectiveRiskManagement(Model):
    """Effective values below spec.riskManagement."""

    take_profit_percentage: str = Field(
        description="Percent of a trade's entry value at which it is closed with a profit."
    )
    enforcement: Annotated[str | None, NotNull()] = Field(
        None, description="Who keeps the limits: Gateway or Bot."
    )


class EffectiveRequests(Model):
    """Effective resource requests of the bot's container."""

    cpu: str = Field(description="CPU request.")
    memory: str = Field(description="Memory request.")


class EffectiveResources(Model):
    """Effective values below spec.resources."""

    requests: EffectiveRequests = Field(description="Requests of the container.")


class Effective(Model):
    """The values of fields whose default depends on another field, as the bot runs with them.

    Such a default is not stored in the spec, so that it follows the other field.
    """

    exchange: Annotated[EffectiveExchange | None, NotNull()] = Field(
        None, description="Below spec.exchange. Set with riskManagement.enforcement: Gateway."
    )
    risk_management: EffectiveRiskManagement = Field(description="Below spec.riskManagement.")
    resources: EffectiveResources = Field(description="Below spec.resources.")


class OverriddenField(Model):
    """A field of a child that admission control changes on every write of the operator."""

    kind: str = Field(description="Kind of the child.")
    path: str = Field(description="Path of the field in the child.")
    declared: str = Field(description="Hash of the value that the operator writes.")
    live: str = Field(description="Hash of the value that admission control makes of it.")


class EntriesStatus(Model):
    """Which pod of a Live bot with a gateway may let entries through."""

    pod: str = Field(description="Name of the pod.")
    pod_uid: str = Field(alias="podUID", description="UID of the pod.")
    grant_seconds: int = Field(
        description="The longest time, in seconds, for which its gateway lets entries through after"
        " the operator has last renewed the right."
    )


class TradingBotStatus(Model):
    """The observed state of the bot."""

    phase: Annotated[str | None, NotNull()] = Field(
        None, description="Summary of the state of the bot, in one word."
    )
    observed_generation: int = Field(
        NEVER_OBSERVED,
        description="The metadata.generation that the status was computed from, -1 before the first"
        " time.",
    )
    config_hash: Annotated[str | None, NotNull()] = Field(
        None, description="Hash of the desired bot.json."
    )
    applied_config_hash: Annotated[str | None, NotNull()] = Field(
        None, description="Hash of the bot.json that the bot reports as loaded."
    )
    conditions: Annotated[list[Condition], list_type("map", key="type")] = Field(
        [],
        description="Conditions of the bot. Ready: the cluster is as the spec wants it, also for a"
        " bot that is paused, off hours or halted. Trading: a pod of the bot trades. Reconciling"
        " and Stalled, if present: the bot is not ready yet, or needs somebody to act.",
        json_schema_extra=AWAITING_OPERATOR,
    )
    entries: Annotated[EntriesStatus | None, NotNull()] = Field(
        None,
        description="The pod whose gateway may let entries through, or was the last one that might."
        " Another pod gets the right when that one has certainly ended, or its time has run out.",
    )
    effective: Annotated[Effective | None, NotNull()] = Field(
        None,
        description="Values in effect of fields whose default depends on another field: of the"
        " spec that has observedGeneration.",
    )
    deployed_resources: Annotated[list[DeployedResource], list_type("atomic")] = Field(
        [], description="Existing children."
    )
    overridden_fields: Annotated[list[OverriddenField] | None, list_type("atomic"), NotNull()] = (
        Field(
            None,
            description="Fields of children that admission control of the cluster changes on every"
            " write of the operator, which leaves them as they are.",
        )
    )
    risk: Annotated[RiskStatus | None, NotNull()] = Field(
        None, description="Trading day, reported figures and halt."
    )
    schedule: Annotated[ScheduleStatus | None, NotNull()] = Field(
        None, description="Position in the schedule."
    )
