"""Balances, fees, the portfolio and the key: what one user sees besides orders."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tradingbot_exchange.coinbase.currencies import FIAT, asset_uuid, is_fiat, name_of
from tradingbot_exchange.coinbase.errors import InvalidArgumentError, NotFoundError
from tradingbot_exchange.coinbase.identifiers import portfolio_uuid, wallet_uuid
from tradingbot_exchange.coinbase.market_data import DAY_MS
from tradingbot_exchange.coinbase.queries import Request
from tradingbot_exchange.coinbase.wire import instant, number
from tradingbot_exchange.engine.types import Balance, Fill, RefusedError
from tradingbot_exchange.venue import Venue

DEFAULT_PAGE = 49
MAX_PAGE = 250
OPENED = 0
"""When every wallet was opened, in milliseconds since the epoch: the engine does not know."""


def accounts(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET accounts`. `cursor` is the id of the last wallet of the page before."""
    wallets = _wallets(venue, request.account)
    limit = request.query.whole("limit", DEFAULT_PAGE, most=MAX_PAGE)
    start, cursor = 0, request.query.text("cursor")
    if cursor:
        ids = [wallet_uuid(request.account, asset) for asset in wallets]
        if cursor not in ids:
            raise InvalidArgumentError("cursor is unknown")
        start = ids.index(cursor) + 1
    page = list(wallets.items())[start : start + limit]
    more = start + len(page) < len(wallets)
    shown = [_wallet(request.account, asset, balance) for asset, balance in page]
    return {
        "accounts": shown,
        "has_next": more,
        "cursor": shown[-1]["uuid"] if more else "",
        "size": len(shown),
    }


def account(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET accounts/{account_uuid}`."""
    for asset, balance in _wallets(venue, request.account).items():
        if wallet_uuid(request.account, asset) == request.path["account_uuid"]:
            return {"account": _wallet(request.account, asset, balance)}
    raise NotFoundError("account not found")


def accounts_v2(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET /v2/accounts`. It knows no holds: the balance is what is free and held."""
    limit = request.query.whole("limit", 25, most=300)
    wallets = list(_wallets(venue, request.account).items())[:limit]
    return {
        "pagination": {
            "ending_before": None,
            "starting_after": None,
            "previous_ending_before": None,
            "next_starting_after": None,
            "limit": limit,
            "order": "desc",
            "previous_uri": None,
            "next_uri": None,
        },
        "data": [_wallet_v2(request.account, asset, balance) for asset, balance in wallets],
    }


def portfolios(_: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET portfolios`."""
    wanted = request.query.text("portfolio_type", "DEFAULT")
    found = [_portfolio(request.account)] if wanted in ("DEFAULT", "UNDEFINED") else []
    return {"portfolios": found}


def portfolio(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET portfolios/{portfolio_uuid}`: values in the quote currency of the asset."""
    if request.path["portfolio_uuid"] != portfolio_uuid(request.account):
        raise NotFoundError("portfolio not found")
    positions = [
        _position(venue, request.account, asset, balance)
        for asset, balance in _wallets(venue, request.account).items()
    ]
    return {
        "breakdown": {
            "portfolio": _portfolio(request.account),
            "spot_positions": positions,
            "perp_positions": [],
            "futures_positions": [],
        }
    }


def transaction_summary(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET transaction_summary`. Volume and fees are of 30 days, each in its quote asset.

    Rates are those of the first product: Coinbase has one tier for all of them.
    """
    since = venue.market_time() - 30 * DAY_MS
    fills = [fill for fill in _fills(venue, request.account) if fill.time >= since]
    volume = sum((fill.quote_quantity for fill in fills), Decimal(0))
    fees = sum((fill.fee for fill in fills), Decimal(0))
    first = venue.engine.instruments()[0]
    return {
        "total_volume": float(volume),  # JSON numbers, as the exchange sends these two
        "total_fees": float(fees),
        "fee_tier": {
            "pricing_tier": "Advanced 1",
            "usd_from": "0",
            "usd_to": "10000",
            "taker_fee_rate": number(first.taker_fee),
            "maker_fee_rate": number(first.maker_fee),
            "aop_from": "",
            "aop_to": "",
        },
        "margin_rate": None,
        "goods_and_services_tax": None,
        "advanced_trade_only_volume": float(volume),
        "advanced_trade_only_fees": float(fees),
        "coinbase_pro_volume": 0,
        "coinbase_pro_fees": 0,
        "total_balance": "",
        "has_promo_fee": False,
    }


def key_permissions(_: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET key_permissions`."""
    permissions = request.key.permissions if request.key is not None else frozenset()
    return {
        "can_view": "read" in permissions,
        "can_trade": "trade" in permissions,
        "can_transfer": "withdraw" in permissions,
        "portfolio_uuid": portfolio_uuid(request.account),
        "portfolio_type": "DEFAULT",
    }


def time_v2(venue: Venue, _: Request) -> Mapping[str, object]:
    """Answer `GET /v2/time`."""
    now = venue.client_time()
    return {"data": {"iso": instant(now), "epoch": now // 1000}}


def currencies_v2(_: Venue, __: Request) -> Mapping[str, object]:
    """Answer `GET /v2/currencies`: fiat alone."""
    return {"data": [{"id": code, "name": name, "min_size": "0.01"} for code, name in FIAT.items()]}


def crypto_v2(venue: Venue, _: Request) -> Mapping[str, object]:
    """Answer `GET /v2/currencies/crypto`: what is traded here."""
    return {
        "data": [
            {
                "asset_id": asset_uuid(asset),
                "code": asset,
                "name": name_of(asset),
                "color": "#627EEA",
                "sort_index": 100 + place,
                "exponent": 8,
                "type": "crypto",
                "address_regex": "",
            }
            for place, asset in enumerate(_assets(venue))
            if not is_fiat(asset)
        ]
    }


def exchange_rates_v2(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET /v2/exchange-rates`: how much of each currency one unit of `currency` buys.

    From the last trades of products that have `currency` on one side.
    """
    currency = request.query.text("currency", "USD")
    rates = {currency: "1"}
    for instrument in venue.engine.instruments():
        last = venue.engine.last_price(instrument.symbol)
        if not last:
            continue
        if instrument.quote == currency:
            rates[instrument.base] = number(round(1 / last, 16))
        elif instrument.base == currency:
            rates[instrument.quote] = number(last)
    return {"data": {"currency": currency, "rates": rates}}


def _fills(venue: Venue, account: str) -> Sequence[Fill]:
    try:
        return venue.engine.fills(account)
    except RefusedError:
        return []


def _assets(venue: Venue) -> list[str]:
    """Return all traded assets, in the order of the products."""
    named: dict[str, None] = {}
    for instrument in venue.engine.instruments():
        named |= {instrument.base: None, instrument.quote: None}
    return list(named)


def _wallets(venue: Venue, account: str) -> Mapping[str, Balance]:
    """Return a balance of every traded asset, and of those that the account has besides."""
    nothing = Balance(Decimal(0), Decimal(0))
    wallets = dict.fromkeys(_assets(venue), nothing)
    try:
        wallets |= venue.engine.balances(account)
    except RefusedError:
        return wallets  # a key whose account has never had anything
    return wallets


def _wallet(account: str, asset: str, balance: Balance) -> Mapping[str, object]:
    return {
        "uuid": wallet_uuid(account, asset),
        "name": f"{asset} Wallet",
        "currency": asset,
        "available_balance": {"value": number(balance.free), "currency": asset},
        "default": True,
        "active": True,
        "created_at": instant(OPENED),
        "updated_at": instant(OPENED),
        "deleted_at": None,
        "type": "ACCOUNT_TYPE_FIAT" if is_fiat(asset) else "ACCOUNT_TYPE_CRYPTO",
        "ready": True,
        "hold": {"value": number(balance.held), "currency": asset},
        "retail_portfolio_id": portfolio_uuid(account),
        "platform": "ACCOUNT_PLATFORM_CONSUMER",
    }


def _wallet_v2(account: str, asset: str, balance: Balance) -> Mapping[str, object]:
    identity = wallet_uuid(account, asset)
    return {
        "id": identity,
        "name": f"{asset} Wallet",
        "primary": True,
        "type": "fiat" if is_fiat(asset) else "wallet",
        "currency": {
            "code": asset,
            "name": name_of(asset),
            "exponent": 2 if is_fiat(asset) else 8,
            "type": "fiat" if is_fiat(asset) else "crypto",
            "asset_id": asset_uuid(asset),
        },
        "balance": {"amount": number(balance.free + balance.held), "currency": asset},
        "created_at": instant(OPENED),
        "updated_at": instant(OPENED),
        "resource": "account",
        "resource_path": f"/v2/accounts/{identity}",
        "allow_deposits": False,
        "allow_withdrawals": False,
    }


def _portfolio(account: str) -> Mapping[str, object]:
    return {
        "name": "Default",
        "uuid": portfolio_uuid(account),
        "type": "DEFAULT",
        "deleted": False,
    }


def _position(venue: Venue, account: str, asset: str, balance: Balance) -> Mapping[str, object]:
    price = next(
        (
            venue.engine.last_price(each.symbol) or Decimal(0)
            for each in venue.engine.instruments()
            if each.base == asset
        ),
        Decimal(1),
    )
    total = balance.free + balance.held
    return {
        "asset": asset,
        "account_uuid": wallet_uuid(account, asset),
        "asset_uuid": asset_uuid(asset),
        "total_balance_fiat": number(total * price),
        "available_to_trade_fiat": number(balance.free * price),
        "total_balance_crypto": number(total),
        "available_to_trade_crypto": number(balance.free),
        "is_cash": is_fiat(asset),
        "account_type": "ACCOUNT_TYPE_FIAT" if is_fiat(asset) else "ACCOUNT_TYPE_CRYPTO",
    }
