"""Calls of /sapi that clients send when they start. There is no margin, staking or withdrawal."""

from tradingbot_exchange.binance.account import balances_of
from tradingbot_exchange.binance.spot import Request, Spot
from tradingbot_exchange.binance.symbols import amount
from tradingbot_exchange.engine.types import Balance


def system_status(spot: Spot, request: Request) -> object:
    """Return that the exchange is not in maintenance."""
    del spot, request
    return {"status": 0, "msg": "normal"}


def nothing(spot: Spot, request: Request) -> object:
    """Return an empty list: there are no margin pairs, and nothing is delisted."""
    del spot, request
    return []


def coins(spot: Spot, request: Request) -> object:
    """Return the assets, none of which can be withdrawn, with the account's balances."""
    return [_coin(asset, held) for asset, held in balances_of(spot, request.account).items()]


def _coin(asset: str, held: Balance) -> dict[str, object]:
    none = amount(held.free * 0)
    others = ("freeze", "withdrawing", "ipoing", "ipoable", "storage")
    return {
        "coin": asset,
        "name": asset,
        "depositAllEnable": False,
        "withdrawAllEnable": False,
        "free": amount(held.free),
        "locked": amount(held.held),
        **dict.fromkeys(others, none),
        "isLegalMoney": False,
        "trading": True,
        "networkList": [],
    }


def trade_fee(spot: Spot, request: Request) -> object:
    """Return the fees of one symbol, or of all."""
    asked = request.values.text("symbol")
    names = list(spot.symbols) if asked is None else [asked]
    fees = []
    for name in names:
        instrument = spot.symbols.instrument(name)
        fees.append(
            {
                "symbol": name,
                "makerCommission": f"{instrument.maker_fee:f}",
                "takerCommission": f"{instrument.taker_fee:f}",
            }
        )
    return fees


def account_status(spot: Spot, request: Request) -> object:
    """Return that the account is in order."""
    del spot, request
    return {"data": "Normal"}


def api_trading_status(spot: Spot, request: Request) -> object:
    """Return that trading by API is not locked."""
    del request
    return {
        "data": {
            "isLocked": False,
            "plannedRecoverTime": 0,
            "triggerCondition": {"GCR": 150, "IFER": 150, "UFR": 300},
            "updateTime": spot.venue.now(),
        }
    }


def api_restrictions(spot: Spot, request: Request) -> object:
    """Return what the key of the request may do."""
    permissions = request.permissions
    return {
        "ipRestrict": False,
        "createTime": spot.venue.now(),
        "enableReading": "read" in permissions,
        "enableSpotAndMarginTrading": "trade" in permissions,
        "enableWithdrawals": "withdraw" in permissions,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enablePortfolioMarginTrading": False,
    }
