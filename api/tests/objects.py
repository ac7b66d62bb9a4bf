"""Objects drawn at random: valid ones of both kinds, and mutations of them."""

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

from admission_cases import BOT, REGISTRY
from hypothesis import strategies as st
from tradingbot_api.asset import REQUIRED_CONFIG, AssetStatus, AssetType
from tradingbot_api.credentials import detect
from tradingbot_api.schedule import DAYS, time_zones

Object = dict[str, Any]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=6)

tricky_values = st.sampled_from(
    [
        *("", "0", "00", "-0", "+1", "-1", "1.", ".5", "1e3", "1E3", "1E", "1e99", "1e-9", "0x1"),
        *("1Ki", "1ki", "1n", "100", "99.99999999", "1000", "1000.00000001", "1" * 16, "0" * 15),
        *(
            "true",
            "null",
            "~",
            "a" * 63,
            "a" * 64,
            "a" * 253,
            "a" * 254,
            "a.b",
            "A",
            "a\n",
            "\u00e9",
        ),
        *(
            "24:00",
            "23:59",
            "UTC",
            "https://x",
            "http://x/\u00a0",
            "https://x?y",
            "\u0661",
            "\u212a",
        ),
        *(
            "2030-01-01T00:00:00Z",
            "2030-01-01T00:00:00.123456789+23:59",
            "9999-12-31T23:59:59-01:00",
        ),
        *(
            0,
            -1,
            1,
            1000,
            1001,
            2**31,
            2**63 - 1,
            2**63,
            2**64,
            10**20,
            1.0,
            0.5,
            1e20,
            1e300,
            -0.0,
        ),
        *(True, False, None, [], {}, [None], [[]], {"": None}, {"a": None}, {"api-key": "x"}),
    ]
)

_names = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
_hours = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda t: f"{t[0]:02}:{t[1]:02}")


def _decimals(most: str) -> st.SearchStrategy[str]:
    return st.decimals(
        min_value=Decimal("0.00000001"), max_value=Decimal(most), places=8, allow_nan=False
    ).map("{:f}".format)


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries({}, optional=fields)


_parameters = st.dictionaries(
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", fullmatch=True),
    st.text(st.characters(codec="utf-8"), max_size=20),
    max_size=5,
).map(lambda drawn: {key: value for key, value in drawn.items() if not detect(key, value)})
_resources = _optional(
    limits=_optional(
        cpu=st.sampled_from(["100m", "0.5", "1", "2.5", 1, 0.5, "1e3"]),
        memory=st.sampled_from(["128Mi", "1Gi", "268435456", 268435456, "3e8"]),
    ),
    requests=_optional(
        cpu=st.sampled_from(["1m", "0.1", 0.05, "100m"]),
        memory=st.sampled_from(["1Mi", "128Mi", 1000000]),
    ),
)
_windows = st.lists(st.sampled_from(DAYS), unique=True, max_size=5).map(
    lambda days: [{"days": [day], "start": "09:00", "end": "17:30"} for day in days]
)
_schedule = _optional(
    timeZone=st.sampled_from(sorted(time_zones())),
    dayStart=_hours,
    windows=_windows,
    blackouts=st.lists(
        st.tuples(st.datetimes(), st.datetimes()).filter(lambda pair: pair[0] < pair[1]), max_size=3
    ).map(
        lambda pairs: [
            {"from": f"{a:%04Y-%m-%dT%H:%M:%S.%fZ}", "to": f"{b:%04Y-%m-%dT%H:%M:%S.%fZ}"}
            for a, b in pairs
        ]
    ),
)
_risk = st.fixed_dictionaries(
    {
        "maxPositionSize": _decimals("999999999999999") | st.integers(1, 10**15 - 1),
        "dailyLossLimit": _decimals("1000") | st.integers(1, 1000),
    },
    optional={
        "stopLossPercentage": _decimals("99.99999999") | st.integers(1, 99),
        "takeProfitPercentage": _decimals("1000") | st.integers(1, 1000),
        "maxOpenPositions": st.integers(1, 1000),
    },
)
_exchange = st.fixed_dictionaries(
    {"name": st.sampled_from(["Binance", "Coinbase"]), "apiKeySecret": _names},
    optional={"baseURL": st.just("https://exchange.example.com/api")},
)
_strategy = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Arbitrage", "Grid", "DCA", "Custom"]),
        "image": st.sampled_from(["bot", "ghcr.io/example/bot:1.0", "localhost:5000/a/b"]),
    },
    optional={"parameters": _parameters},
)
_labels = st.dictionaries(_names, _names, max_size=2)
_pods = _optional(
    imagePullSecrets=st.just([{"name": "registry"}]),
    nodeSelector=_labels,
    tolerations=st.just([{"key": "trading", "operator": "Exists", "effect": "NoSchedule"}]),
    affinity=st.builds(
        lambda labels: {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {"matchLabels": labels},
                    }
                ]
            }
        },
        _labels,
    ),
    topologySpreadConstraints=st.just(
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]
    ),
    labels=_labels,
    annotations=_labels,
    args=st.just(["--verbose"]),
    env=st.just(
        [
            {"name": "LEVEL", "value": "debug"},
            {"name": "CHAT", "valueFrom": {"secretKeyRef": {"name": "chat", "key": "id"}}},
        ]
    ),
    envFrom=st.just([{"configMapRef": {"name": "settings"}}]),
    files=st.just(
        [
            {"mountPath": "/etc/bot", "configMap": {"name": "settings"}},
            {"mountPath": "/vault", "serviceAccountToken": {"audience": "vault"}},
        ]
    ),
    storage=st.fixed_dictionaries(
        {"size": st.sampled_from(["1Gi", 10**9, "1e3"])}, optional={"retain": st.booleans()}
    ),
    networkPolicy=st.just("Restricted"),
)
_bot_specs = st.fixed_dictionaries(
    {"strategy": _strategy, "exchange": _exchange, "riskManagement": _risk},
    optional={
        "mode": st.sampled_from(["Paper", "Live"]),
        "resources": _resources,
        "schedule": _schedule,
        "updatePolicy": st.sampled_from(["WhenFlat", "Immediate", "Manual"]),
        "paused": st.booleans(),
        "pod": _pods,
    },
)


@st.composite
def _assets(draw: st.DrawFn) -> list[Object]:
    """Assets that need only those that stand before them: no cycle."""
    names = draw(st.lists(_names, unique=True, min_size=1, max_size=6))
    assets = []
    for index, name in enumerate(names):
        kind = draw(st.sampled_from(AssetType))
        asset: Object = {"name": name, "type": kind.value}
        asset["config"] = {key: draw(_names) for key in REQUIRED_CONFIG.get(kind, ())}
        if index and draw(st.booleans()):
            asset["dependsOn"] = draw(st.lists(st.sampled_from(names[:index]), unique=True))
        if draw(st.booleans()):
            asset["status"] = draw(st.sampled_from(AssetStatus)).value
        if draw(st.booleans()):
            asset["tags"] = draw(st.lists(_names, unique=True, max_size=4))
        assets.append(asset)
    return assets


valid_bots = st.builds(
    lambda name, spec: {**BOT, "metadata": {"name": name}, "spec": spec}, _names, _bot_specs
)
valid_asset_registries = st.builds(
    lambda name, assets: {**REGISTRY, "metadata": {"name": name}, "spec": {"assets": assets}},
    _names,
    _assets(),
)
valid_objects = valid_bots | valid_asset_registries


@st.composite
def mutations(draw: st.DrawFn, objects: st.SearchStrategy[Object] = valid_objects) -> Object:
    """A valid object after one to four arbitrary changes in arbitrary places."""
    obj = deepcopy(draw(objects))
    for _ in range(draw(st.integers(1, 4))):
        holders = list(_holders({key: obj[key] for key in ("metadata", "spec") if key in obj}))
        holder = draw(st.sampled_from([obj, *holders]))
        draw(st.sampled_from([_replace, _remove, _add]))(draw, holder)
    return {**obj, "kind": BOT["kind"] if "strategy" in str(obj) else REGISTRY["kind"]}


def _holders(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value, *(found for inner in value.values() for found in _holders(inner))]
    if isinstance(value, list):
        return [value, *(found for inner in value for found in _holders(inner))]
    return []


def _places(holder: Any) -> list[Any]:
    names = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    return [name for name in names if name != "kind"]


def _drawn(draw: Callable[..., Any]) -> Any:
    """A copy: the next change may be inside of it, and the strategy gives the same object again."""
    return deepcopy(draw(tricky_values | json_values))


def _replace(draw: Callable[..., Any], holder: Any) -> None:
    if places := _places(holder):
        holder[draw(st.sampled_from(places))] = _drawn(draw)


def _remove(draw: Callable[..., Any], holder: Any) -> None:
    if places := _places(holder):
        del holder[draw(st.sampled_from(places))]


def _add(draw: Callable[..., Any], holder: Any) -> None:
    if isinstance(holder, dict):
        holder[draw(st.text())] = _drawn(draw)
    else:
        holder.append(deepcopy(holder[0]) if holder and draw(st.booleans()) else _drawn(draw))
