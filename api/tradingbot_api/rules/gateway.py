"""What is wrong with a bot in respect of who keeps its limits, and has the exchange's keys."""

from collections.abc import Iterator
from datetime import datetime

from tradingbot_api.enforcement import dialect_of, has_gateway, quote_currency_of
from tradingbot_api.errors import FieldError, FieldWarning, Path
from tradingbot_api.exchange import (
    DIALECT_IS_ANOTHERS,
    NOT_IN_PODS,
    Enforcement,
    Exchange,
    ExchangeName,
)
from tradingbot_api.pod_parts import BASE_URL_ENV, GATEWAY_DIRECTORY
from tradingbot_api.rules.findings import Finding, Rule, duplicates, paths
from tradingbot_api.rules.scheduling import POD
from tradingbot_api.tradingbot import NO_DIALECT, NO_GATEWAY, Mode, TradingBotSpec

DIALECT: Path = ("spec", "exchange", "dialect")
PAPER_BALANCE: Path = ("spec", "exchange", "paperBalance")
ENFORCEMENT: Path = ("spec", "riskManagement", "enforcement")
ALLOWED_SYMBOLS: Path = ("spec", "riskManagement", "allowedSymbols")

ONLY_THE_GATEWAY = (
    "is in the exchange's Secret, which only the gateway reads (enforcement: Gateway); put it into"
    " another Secret"
)
_ENFORCEMENT = ("riskManagement.enforcement", "exchange.name", "exchange.dialect")
"""What decides who keeps the limits."""


def concern(spec: TradingBotSpec) -> bool:
    """Whether RULES can find something in `spec`, which is typed as far as it is valid. Most bots
    have none of the fields that the rules are about."""
    exchange, risk = spec.exchange, spec.risk_management
    return (
        exchange is None
        or exchange.dialect is not None
        or exchange.paper_balance is not None
        or risk is None
        or risk.enforcement is not None
        or risk.allowed_symbols is not None
        or spec.mode is Mode.LIVE
    )


def dialect(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Require that a gateway knows what the exchange speaks, and can speak it in a pod."""
    exchange = spec.exchange
    if _is_anothers(exchange):
        yield FieldError.invalid(DIALECT, str(exchange.dialect), DIALECT_IS_ANOTHERS)
    elif not has_gateway(spec):
        return
    elif dialect_of(exchange) is None:
        yield FieldError.required(DIALECT, NO_DIALECT)
    elif dialect_of(exchange) is NOT_IN_PODS:
        yield FieldError.invalid(ENFORCEMENT, Enforcement.GATEWAY.value, NO_GATEWAY)


def _is_anothers(exchange: Exchange) -> bool:
    """Whether an exchange that is known by name has the dialect of another one."""
    return (
        exchange.name is not ExchangeName.CUSTOM
        and exchange.dialect is not None
        and exchange.dialect.value != exchange.name.value
    )


def allowed_symbols(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Require that what may be traded can be valued in the currency of the limits."""
    symbols = spec.risk_management.allowed_symbols or ()
    currency = quote_currency_of(spec.exchange)
    yield from duplicates(symbols, lambda index: (*ALLOWED_SYMBOLS, index))
    for index, symbol in enumerate(symbols):
        base, quote = symbol.split("-")
        where = (*ALLOWED_SYMBOLS, index)
        if base == quote:
            yield FieldError.invalid(where, symbol, "must have two different assets")
        elif currency not in {None, quote} and f"{quote}-{currency}" not in symbols:
            yield FieldError.invalid(
                where,
                symbol,
                f"must be traded for {currency}, the currency of all limits"
                f" (exchange.quoteCurrency), or {quote}-{currency} must be allowed too",
            )


def paper_balance(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Require that the account has what orders are paid with."""
    balance = spec.exchange.paper_balance
    if balance is None:
        return
    assets = [each.asset for each in balance]
    yield from duplicates(assets, lambda index: (*PAPER_BALANCE, index, "asset"))
    currency = quote_currency_of(spec.exchange)
    if currency is not None and currency not in assets:
        detail = f"must have an amount of {currency}, which orders are paid with"
        yield FieldError.required(PAPER_BALANCE, detail)


def limits_kept_by_the_bot(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Warn of real money without limits that hold against the bot."""
    if spec.mode is not Mode.LIVE or has_gateway(spec):
        return
    detail = (
        f"{Enforcement.BOT.value} in mode Live: only the bot itself keeps these limits, and it has"
        " the keys"
    )
    spoken = dialect_of(spec.exchange)
    if spoken is None:
        detail += "; use Gateway, with exchange.dialect, if the exchange speaks the API of Binance"
    elif spoken is not NOT_IN_PODS:
        detail += "; use Gateway"
    yield FieldWarning(ENFORCEMENT, detail)


def has_doubles(spec: TradingBotSpec) -> bool:
    """Whether the schema refuses `spec` for an item that is in a list twice."""
    symbols = spec.risk_management.allowed_symbols or ()
    assets = [each.asset for each in spec.exchange.paper_balance or ()]
    return len(set(symbols)) < len(symbols) or len(set(assets)) < len(assets)


def breaks_schema(spec: TradingBotSpec) -> bool:
    """Whether a rule of the schema refuses `spec`, whose every field has the right form."""
    exchange = spec.exchange
    return (
        _is_anothers(exchange)
        or (
            spec.risk_management.enforcement is Enforcement.GATEWAY
            and dialect_of(exchange) in {None, NOT_IN_PODS}
        )
        or has_doubles(spec)
    )


def other_keys(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Reject a variable with any value of the Secret that the gateway alone reads.

    `exchange_secret_env` rejects the keys that the exchange's fields name, gateway or not.
    """
    if not has_gateway(spec):
        return
    named = set(spec.exchange.key_paths.values())
    for index, found in enumerate((spec.pod and spec.pod.env) or ()):
        reference = found.value_from and found.value_from.secret_key_ref
        if (
            reference
            and reference.name == spec.exchange.api_key_secret
            and reference.key not in named
        ):
            path = (*POD, "env", index, "valueFrom", "secretKeyRef", "name")
            yield FieldError.forbidden(path, ONLY_THE_GATEWAY)


def address_of_the_gateway(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Reject a variable that would lead the bot past its gateway."""
    if not has_gateway(spec):
        return
    for index, found in enumerate((spec.pod and spec.pod.env) or ()):
        if found.name == BASE_URL_ENV:
            detail = (
                f"{BASE_URL_ENV} is set by the operator to the gateway's address (enforcement:"
                " Gateway)"
            )
            yield FieldError.forbidden((*POD, "env", index, "name"), detail)


def place_of_the_gateway(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Reject a mount over or in the directory that the gateway and the bot share."""
    if not has_gateway(spec) or spec.pod is None:
        return
    mounts = [
        ((*POD, "files", index, "mountPath"), each.mount_path)
        for index, each in enumerate(spec.pod.files or ())
    ]
    if spec.pod.storage is not None:
        mounts.append(((*POD, "storage", "mountPath"), spec.pod.storage.mount_path))
    for path, mount in mounts:
        if mount == GATEWAY_DIRECTORY or mount.startswith(f"{GATEWAY_DIRECTORY}/"):
            yield FieldError.invalid(path, mount, f"must not be {GATEWAY_DIRECTORY} or inside it")


RULES = (
    Rule(paths(*_ENFORCEMENT), dialect),
    Rule(
        paths(
            "riskManagement.allowedSymbols",
            "exchange.quoteCurrency",
            "exchange.name",
            "exchange.dialect",
        ),
        allowed_symbols,
    ),
    Rule(
        paths(
            "exchange.paperBalance",
            "exchange.quoteCurrency",
            "exchange.name",
            "exchange.dialect",
        ),
        paper_balance,
    ),
    Rule(paths(*_ENFORCEMENT, "mode"), limits_kept_by_the_bot),
)
POD_RULES = (
    Rule(
        paths(
            *_ENFORCEMENT,
            "pod.env.*.valueFrom",
            "exchange.apiKeySecret",
            "exchange.apiKeyPath",
            "exchange.apiSecretPath",
            "exchange.passphrasePath",
        ),
        other_keys,
    ),
    Rule(paths(*_ENFORCEMENT, "pod.env.*.name"), address_of_the_gateway),
    Rule(
        paths(*_ENFORCEMENT, "pod.files.*.mountPath", "pod.storage.mountPath"),
        place_of_the_gateway,
    ),
)
