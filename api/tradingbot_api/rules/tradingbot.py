"""What makes a bot dangerous or senseless though each of its fields is well-formed."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from tradingbot_api.credentials import detect, is_plainly_clean
from tradingbot_api.errors import FieldError, FieldWarning, Path
from tradingbot_api.exchange import ExchangeName
from tradingbot_api.image import is_pinned
from tradingbot_api.quantity import parse_quantity, plain_text
from tradingbot_api.rules.findings import Finding, ItemRule, Part, Rule, credential, paths
from tradingbot_api.schedule import overlapping, week_intervals
from tradingbot_api.tradingbot import (
    PARAMETER_KEY,
    PARAMETER_KEYS,
    WHERE_CREDENTIALS_BELONG,
    Blackout,
    Mode,
    TradingBotSpec,
    Window,
)

SMALL_PERCENTAGE = Decimal("0.1")
SMALL_MEMORY = Decimal(64 * 1024 * 1024)
HUNDRED = Decimal(100)

PARAMETERS: Path = ("spec", "strategy", "parameters")
RISK: Path = ("spec", "riskManagement")
EXCHANGE: Path = ("spec", "exchange")
SCHEDULE: Path = ("spec", "schedule")
RESOURCES: Path = ("spec", "resources")


def parameter(where: Path, value: str | None, _: datetime) -> Iterator[Finding]:
    """Require a portable key, and that neither key nor value is a credential."""
    key = str(where[-1])
    suspect = detect(key, value)
    certain = suspect is not None and suspect.certain
    if not certain and not PARAMETER_KEY.fullmatch(key):
        yield FieldError.invalid(
            where,
            key,
            "a key must begin with a letter and have at most 63 letters, digits, '_', '.' and '-'",
        )
    elif suspect is not None:
        yield credential(where, suspect, WHERE_CREDENTIALS_BELONG)


def has_parameters(spec: TradingBotSpec) -> bool:
    """Whether a spec, typed as far as it is valid, has a parameter."""
    return spec.strategy is not None and bool(spec.strategy.parameters)


def has_sound_parameters(spec: TradingBotSpec) -> bool:
    """Whether `parameter` plainly has nothing against any of them."""
    parameters = spec.strategy.parameters
    keys = "\n".join([*parameters, ""])
    return (
        keys.count("\n") == len(parameters)
        and PARAMETER_KEYS.fullmatch(keys) is not None
        and _is_plainly_clean(parameters)
    )


def holds_credential(spec: TradingBotSpec) -> bool:
    """Whether a parameter is a credential. The schema knows some of these; the others are refused
    with all other mistakes as well."""
    parameters = spec.strategy.parameters
    if _is_plainly_clean(parameters):
        return False
    suspects = (detect(key, value) for key, value in parameters.items())
    return any(suspect is not None and suspect.certain for suspect in suspects)


def _is_plainly_clean(parameters: Mapping[str, str]) -> bool:
    return is_plainly_clean("\n".join([*parameters, *parameters.values()]))


def distinct_key_paths(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Require three different keys for API key, API secret and passphrase."""
    before: dict[str, str] = {}
    for name, key in spec.exchange.key_paths.items():
        if key in before:
            detail = f"must differ from {before[key]}"
            yield FieldError.invalid((*EXCHANGE, name), None, detail, sensitive=True)
        before.setdefault(key, name)


def base_url(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Require an address for a custom exchange, and https in mode Live."""
    path = (*EXCHANGE, "baseURL")
    if spec.exchange.base_url is None:
        if spec.exchange.name is ExchangeName.CUSTOM:
            yield FieldError.required(path, "a Custom exchange needs the base URL of its API")
    elif spec.mode is Mode.LIVE and not spec.exchange.base_url.startswith("https://"):
        yield FieldError.invalid(path, None, "must be https in mode Live", sensitive=True)


def requests_within_limits(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Require that requests are within the limits."""
    limits, requests = spec.resources.limits, spec.resources.requests
    if requests is None:
        return
    for name, request, limit in (
        ("cpu", requests.cpu, limits.cpu),
        ("memory", requests.memory, limits.memory),
    ):
        if request is not None and request != limit and _number(request) > _number(limit):
            path = (*RESOURCES, "requests", name)
            yield FieldError.invalid(
                path, request, f"must be less than or equal to the {name} limit of {limit}"
            )


def has_hours(spec: TradingBotSpec) -> bool:
    """Whether a spec, typed as far as it is valid, has a window or a blackout."""
    schedule = spec.schedule
    return schedule is not None and bool(schedule.windows or schedule.blackouts)


def window_form(where: Path, window: Window, _: datetime) -> Iterator[Finding]:
    """Require that a window has a length and names each day once."""
    for place, day in enumerate(window.days):
        if day in window.days[:place]:
            yield FieldError.duplicate((*where, "days", place), day)
    if window.start == window.end:
        yield FieldError.invalid(
            (*where, "end"),
            window.end,
            "must differ from start; for a bot that always runs leave windows out",
        )


def has_sound_windows(spec: TradingBotSpec) -> bool:
    """Whether `window_form` has nothing against any of them."""
    for window in spec.schedule.windows:
        if window.start == window.end or len(set(window.days)) < len(window.days):
            return False
    return True


def has_double_days(spec: TradingBotSpec) -> bool:
    """Whether some window names a day twice, which the schema refuses."""
    return any(len(set(window.days)) < len(window.days) for window in spec.schedule.windows)


def window_overlaps(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """No minute of the week belongs to two windows."""
    spans = [
        week_intervals(dict.fromkeys(window.days), window.start, window.end)
        for window in spec.schedule.windows
    ]
    for first, other in overlapping(spans):
        window = spec.schedule.windows[other]
        yield FieldError.invalid(
            (*SCHEDULE, "windows", other),
            f"{window.start}-{window.end}",
            f"overlaps windows[{first}]",
        )


def blackout_form(where: Path, blackout: Blackout, _: datetime) -> Iterator[Finding]:
    """Require that a blackout ends after it begins."""
    if datetime.fromisoformat(blackout.from_) >= datetime.fromisoformat(blackout.to):
        yield FieldError.invalid(
            (*where, "to"), blackout.to, f"must be later than from ({blackout.from_})"
        )


def has_sound_blackouts(spec: TradingBotSpec) -> bool:
    """Whether `blackout_form` has nothing against any of them."""
    return all(
        datetime.fromisoformat(blackout.from_) < datetime.fromisoformat(blackout.to)
        for blackout in spec.schedule.blackouts
    )


def past_blackouts(spec: TradingBotSpec, now: datetime) -> Iterator[Finding]:
    """Blackouts that are over have no effect."""
    ends = [datetime.fromisoformat(blackout.to) for blackout in spec.schedule.blackouts]
    if ends and max(ends) <= now:
        yield FieldWarning(
            (*SCHEDULE, "blackouts"),
            "all blackouts are in the past; remove them or mend their dates",  # words: allow
        )


def unpinned_image(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Warn of an image without a version in mode Live."""
    if spec.mode is Mode.LIVE and not is_pinned(spec.strategy.image):
        yield FieldWarning(
            ("spec", "strategy", "image"),
            "a Live bot should name a digest or a tag other than latest, or a restart may change"
            " what trades",
        )


def small_memory(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Warn of a memory limit at which the container is killed before it trades."""
    limit = spec.resources.limits.memory
    if _number(limit) < SMALL_MEMORY:
        yield FieldWarning(
            (*RESOURCES, "limits", "memory"),
            f"{limit} is very little; most bots need 64Mi or more",
        )


def daily_limit_in_reach(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Warn of a daily limit above the value of all positions, which hardly ever acts."""
    risk = spec.risk_management
    at_stake = Decimal(risk.max_position_size) * risk.max_open_positions
    if Decimal(risk.daily_loss_limit) > at_stake:
        yield FieldWarning(
            (*RISK, "dailyLossLimit"),
            f"{risk.daily_loss_limit} is more than maxPositionSize x maxOpenPositions"
            f" ({plain_text(at_stake)}): the halt would hardly ever act; lower it",
        )


def fraction_like(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Warn of a tiny percentage, which is usually a fraction in the wrong unit."""
    risk = spec.risk_management
    for name, value in (
        ("stopLossPercentage", risk.stop_loss_percentage),
        ("takeProfitPercentage", risk.take_profit_percentage),
    ):
        if value is not None and Decimal(value) < SMALL_PERCENTAGE:
            meant = plain_text(Decimal(value) * HUNDRED)
            yield FieldWarning(
                (*RISK, name), f'{value} means {value} %; write "{meant}" if you mean {meant} %'
            )


def stops_within_daily_limit(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Warn if one stop, or all of them, lose more than the daily limit."""
    risk = spec.risk_management
    percents = Decimal(risk.max_position_size) * Decimal(risk.stop_loss_percentage)
    limit = Decimal(risk.daily_loss_limit)
    if percents * risk.max_open_positions <= limit * HUNDRED:
        return
    path, one_stop = (*RISK, "stopLossPercentage"), percents / HUNDRED
    if one_stop > limit:
        yield FieldWarning(
            path,
            f"one stop of a full position loses {plain_text(one_stop)}, more than dailyLossLimit"
            f" ({risk.daily_loss_limit}): the first already halts the day",
        )
    else:
        yield FieldWarning(
            path,
            f"{risk.max_open_positions} stops at once lose"
            f" {plain_text(one_stop * risk.max_open_positions)}, more than dailyLossLimit"
            f" ({risk.daily_loss_limit})",
        )


def profit_above_loss(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Warn of a profit target below the stop."""
    risk = spec.risk_management
    profit = risk.take_profit_percentage
    if profit is not None and Decimal(profit) <= Decimal(risk.stop_loss_percentage):
        yield FieldWarning(
            (*RISK, "takeProfitPercentage"),
            f"{profit} is not above stopLossPercentage ({risk.stop_loss_percentage}): a win earns"
            " no more than a loss costs",
        )


_RULES = (
    Rule(
        paths("exchange.apiKeyPath", "exchange.apiSecretPath", "exchange.passphrasePath"),
        distinct_key_paths,
    ),
    Rule(paths("exchange.name", "exchange.baseURL", "mode"), base_url),
    Rule(paths("resources"), requests_within_limits),
    Rule(paths("strategy.image", "mode"), unpinned_image),
    Rule(paths("resources.limits.memory"), small_memory),
    Rule(
        paths(
            "riskManagement.dailyLossLimit",
            "riskManagement.maxPositionSize",
            "riskManagement.maxOpenPositions",
        ),
        daily_limit_in_reach,
    ),
    Rule(
        paths("riskManagement.stopLossPercentage", "riskManagement.takeProfitPercentage"),
        fraction_like,
    ),
    Rule(
        paths(
            "riskManagement.stopLossPercentage",
            "riskManagement.dailyLossLimit",
            "riskManagement.maxPositionSize",
            "riskManagement.maxOpenPositions",
        ),
        stops_within_daily_limit,
    ),
    Rule(
        paths("riskManagement.stopLossPercentage", "riskManagement.takeProfitPercentage"),
        profit_above_loss,
    ),
)
PARTS = (
    Part(_RULES),
    Part(
        (ItemRule(PARAMETERS, parameter, clean=has_sound_parameters),),
        is_in=has_parameters,
        breaks_schema=holds_credential,
    ),
    Part(
        (
            ItemRule((*SCHEDULE, "windows"), window_form, clean=has_sound_windows),
            Rule(paths("schedule.windows"), window_overlaps),
            ItemRule((*SCHEDULE, "blackouts"), blackout_form, clean=has_sound_blackouts),
            Rule(paths("schedule.blackouts"), past_blackouts),
        ),
        is_in=has_hours,
        breaks_schema=has_double_days,
    ),
)


def _number(quantity: str) -> Decimal:
    number = parse_quantity(quantity)
    if number is None:
        raise ValueError(f"not a quantity: {quantity!r}")
    return number
