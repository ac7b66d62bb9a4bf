"""The parameters that several of Binance's calls have, and their legal values."""

from tradingbot_exchange.binance.parameters import Kind, Parameter

SIGNED = (
    Parameter("timestamp", Kind.LONG, mandatory=True),
    Parameter("recvWindow", Kind.WINDOW),
    Parameter("signature", Kind.TEXT),
)
"""What every SIGNED call takes. A session of the WebSocket API needs no signature."""

MAYBE_SIGNED = (Parameter("timestamp", Kind.LONG), *SIGNED[1:])
"""What ccxt adds to calls that need a key and no signature. It is not checked."""

SYMBOL = Parameter("symbol", Kind.SYMBOL, mandatory=True)
ANY_SYMBOL = Parameter("symbol", Kind.SYMBOL)
SYMBOLS = Parameter("symbols", Kind.SYMBOLS)
STATUS = Parameter("symbolStatus", Kind.ENUM, choices=("TRADING", "HALT", "BREAK"))
LIMIT = Parameter("limit", Kind.LONG, limit=1000)
START = Parameter("startTime", Kind.TIME)
END = Parameter("endTime", Kind.TIME)
FROM_ID = Parameter("fromId", Kind.LONG)
ORDER_ID = Parameter("orderId", Kind.LONG)
ORIG_CLIENT_ID = Parameter("origClientOrderId", Kind.CLIENT_ID)
NEW_CLIENT_ID = Parameter("newClientOrderId", Kind.CLIENT_ID)
TYPE = ("FULL", "MINI")

INTERVALS = (
    *("1s", "1m", "3m", "5m", "15m", "30m"),
    *("1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"),
)

SIDES = ("BUY", "SELL")
ORDER_TYPES = (
    *("LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"),
    *("TAKE_PROFIT", "TAKE_PROFIT_LIMIT", "LIMIT_MAKER"),
)
TIMES_IN_FORCE = ("GTC", "IOC", "FOK")
RESPONSES = ("ACK", "RESULT", "FULL")
PREVENTION_MODES = ("NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER")
CANCEL_RESTRICTIONS = ("ONLY_NEW", "ONLY_PARTIALLY_FILLED")


def leg_parameters(prefix: str) -> tuple[Parameter, ...]:
    """Return the parameters of an order that an order list has for each leg, with its prefix."""

    def named(name: str) -> str:
        return prefix + name[0].upper() + name[1:] if prefix else name

    return (
        Parameter(named("type"), Kind.ENUM, mandatory=True, choices=ORDER_TYPES),
        Parameter(named("timeInForce"), Kind.ENUM, choices=TIMES_IN_FORCE),
        Parameter(named("price"), Kind.DECIMAL),
        Parameter(named("stopPrice"), Kind.DECIMAL),
        Parameter(named("trailingDelta"), Kind.LONG),
        Parameter(named("icebergQty"), Kind.DECIMAL),
        Parameter(named("strategyId"), Kind.LONG),
        Parameter(named("strategyType"), Kind.LONG),
        Parameter(named("pegPriceType"), Kind.ENUM, choices=("PRIMARY_PEG", "MARKET_PEG")),
        Parameter(named("pegOffsetType"), Kind.ENUM, choices=("PRICE_LEVEL",)),
        Parameter(named("pegOffsetValue"), Kind.LONG),
    )


SIDE = Parameter("side", Kind.ENUM, mandatory=True, choices=SIDES)
RESPONSE = Parameter("newOrderRespType", Kind.ENUM, choices=RESPONSES)
PREVENTION = Parameter("selfTradePreventionMode", Kind.ENUM, choices=PREVENTION_MODES)
RESTRICTIONS = Parameter("cancelRestrictions", Kind.ENUM, choices=CANCEL_RESTRICTIONS)
NEW_ORDER = (
    *(SYMBOL, SIDE, *leg_parameters(""), NEW_CLIENT_ID, RESPONSE, PREVENTION),
    Parameter("quantity", Kind.DECIMAL),
    Parameter("quoteOrderQty", Kind.DECIMAL),
)
REPLACE = (
    Parameter(
        "cancelReplaceMode",
        Kind.ENUM,
        mandatory=True,
        choices=("STOP_ON_FAILURE", "ALLOW_FAILURE"),
    ),
    Parameter("cancelOrderId", Kind.LONG),
    Parameter("cancelOrigClientOrderId", Kind.CLIENT_ID),
    Parameter("cancelNewClientOrderId", Kind.CLIENT_ID),
    RESTRICTIONS,
    Parameter("orderRateLimitExceededMode", Kind.ENUM, choices=("DO_NOTHING", "CANCEL_ONLY")),
)
OCO = (
    *(SYMBOL, SIDE, RESPONSE, PREVENTION),
    Parameter("quantity", Kind.DECIMAL, mandatory=True),
    Parameter("listClientOrderId", Kind.CLIENT_ID),
    *leg_parameters("above"),
    Parameter("aboveClientOrderId", Kind.CLIENT_ID),
    *leg_parameters("below"),
    Parameter("belowClientOrderId", Kind.CLIENT_ID),
)
OLD_OCO = (
    *(SYMBOL, SIDE, RESPONSE, PREVENTION),
    Parameter("quantity", Kind.DECIMAL, mandatory=True),
    Parameter("listClientOrderId", Kind.CLIENT_ID),
    Parameter("limitClientOrderId", Kind.CLIENT_ID),
    Parameter("price", Kind.DECIMAL, mandatory=True),
    Parameter("limitStrategyId", Kind.LONG),
    Parameter("limitStrategyType", Kind.LONG),
    Parameter("limitIcebergQty", Kind.DECIMAL),
    Parameter("trailingDelta", Kind.LONG),
    Parameter("stopClientOrderId", Kind.CLIENT_ID),
    Parameter("stopPrice", Kind.DECIMAL, mandatory=True),
    Parameter("stopStrategyId", Kind.LONG),
    Parameter("stopStrategyType", Kind.LONG),
    Parameter("stopLimitPrice", Kind.DECIMAL),
    Parameter("stopIcebergQty", Kind.DECIMAL),
    Parameter("stopLimitTimeInForce", Kind.ENUM, choices=TIMES_IN_FORCE),
)
