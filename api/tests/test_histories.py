"""One file, one bot: no default of an earlier file is left in a bot, however it was applied."""

from copy import deepcopy
from typing import Any

import pytest
from admission_cases import BOT, NOW
from apply_model import Flat, Path, World, flat, nested
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_api.admission.review import KINDS, defaulted, review
from tradingbot_api.effective import effective, effective_values
from tradingbot_api.tradingbot import TradingBotSpec

Step = tuple[str, Flat]

REQUIRED = flat({"spec": BOT["spec"]})
RISK: Path = ("spec", "riskManagement")
RESOURCES: Path = ("spec", "resources")
OPTIONAL: dict[Path, list[Any]] = {
    (*RISK, "stopLossPercentage"): ["1", "7.5", 3, "99"],
    (*RISK, "takeProfitPercentage"): ["5", 900, "0.5"],
    (*RISK, "maxOpenPositions"): [1, 4],
    (*RISK, "dailyLossLimit"): ["200", 100],
    (*RESOURCES, "limits", "cpu"): ["50m", 2, "1"],
    (*RESOURCES, "limits", "memory"): ["64Mi", "1Gi"],
    (*RESOURCES, "requests", "cpu"): ["20m", "400m"],
    (*RESOURCES, "requests", "memory"): ["32Mi", "512Mi"],
    ("spec", "mode"): ["Paper", "Live"],
    ("spec", "updatePolicy"): ["Immediate", "WhenFlat"],
    ("spec", "schedule", "timeZone"): ["UTC", "Asia/Tokyo"],
}


def optional() -> st.SearchStrategy[Flat]:
    return st.fixed_dictionaries(
        {}, optional={path: st.sampled_from(values) for path, values in OPTIONAL.items()}
    )


files = optional().map(lambda fields: {**REQUIRED, **fields})
patches = optional() | st.sampled_from(list(OPTIONAL)).map(lambda path: {path: None})
steps = st.one_of(
    st.tuples(st.sampled_from(["apply", "apply_server_side"]), files),
    st.tuples(st.just("patch"), patches),
)


def as_bot(leaves: Flat) -> dict[str, Any]:
    return {**deepcopy(BOT), **nested(leaves)}


def allowed(before: Flat | None, new: Flat) -> bool:
    old = None if before is None else defaulted("TradingBot", as_bot(before))
    return review("TradingBot", defaulted("TradingBot", as_bot(new)), old, now=NOW).allowed


def admission(before: Flat | None, new: Flat) -> Flat | None:
    """What the product does: constant defaults are stored."""
    if not allowed(before, new):
        return None
    return flat({"spec": defaulted("TradingBot", as_bot(new))["spec"]})


def written_alone(before: Flat | None, new: Flat) -> Flat | None:
    """As if nothing that nobody wrote were ever stored."""
    return new if allowed(before, new) else None


def storing_all(before: Flat | None, new: Flat) -> Flat | None:
    """As if every default were stored."""
    stored = admission(before, new)
    if stored is None:
        return None
    effective = effective_values(spec_of(stored)).model_dump(by_alias=True, exclude_none=True)
    return stored | flat({"spec": effective})


def spec_of(leaves: Flat) -> TradingBotSpec:
    obj = defaulted("TradingBot", as_bot(leaves))
    spec: TradingBotSpec = KINDS["TradingBot"].spec_parser.validate_python(obj["spec"])
    return spec


def bot_of(world: World) -> TradingBotSpec | None:
    return None if world.stored is None else effective(spec_of(world.stored))


def run(world: World, history: list[Step]) -> list[bool]:
    return [getattr(world, way)(content) for way, content in history]


@settings(max_examples=300)
@given(st.lists(steps, min_size=1, max_size=8))
def test_what_is_stored_is_what_somebody_wrote_and_constants(history: list[Step]) -> None:
    """The same steps, once with the product's admission and once with no default stored at all:
    the same steps are refused, and the bots are the same."""
    stored, written = World(admission), World(written_alone)

    assert run(stored, history) == run(written, history)
    assert bot_of(stored) == bot_of(written)


@settings(max_examples=300)
@given(st.lists(steps, max_size=6), files, st.sampled_from(["apply", "apply_server_side"]))
def test_a_file_makes_the_same_bot_whatever_was_applied_before(
    history: list[Step], file: Flat, way: str
) -> None:
    """All that came before states the fields that the file states: what a user has written and
    not taken back stays, and is not a default."""
    worlds = World(admission), World(admission)
    run(worlds[0], [(how, {p: v for p, v in was.items() if p in file}) for how, was in history])

    outcomes = [getattr(world, way)(file) for world in worlds]

    assert outcomes[0] == outcomes[1]
    if all(outcomes):
        assert bot_of(worlds[0]) == bot_of(worlds[1])


@given(st.lists(files, min_size=1, max_size=4), st.data())
@pytest.mark.parametrize("way", ["apply", "apply_server_side"])
def test_a_user_of_one_way_gets_the_bot_of_the_last_file(
    way: str, made: list[Flat], data: st.DataObject
) -> None:
    """Whatever fields the earlier files had: both ways remove what a file no longer has."""
    world, fresh = World(admission), World(admission)
    run(world, [(way, file) for file in made])
    last = data.draw(files)

    admitted = getattr(world, way)(last)

    assert admitted == getattr(fresh, way)(last)
    if admitted:
        assert bot_of(world) == bot_of(fresh)


def test_storing_every_default_would_break_this() -> None:
    """The model sees what users have seen: requests that nobody wrote refuse a lower limit, and
    the profit target of an earlier stop stays."""
    limit, stop = (*RESOURCES, "limits", "memory"), (*RISK, "stopLossPercentage")
    first, lower, tighter = REQUIRED, {**REQUIRED, limit: "64Mi"}, {**REQUIRED, stop: "1"}

    for way in ("apply", "patch"):
        world = World(storing_all)
        assert run(world, [("apply", first), (way, lower)]) == [True, False]
        assert run(world, [(way, tighter)]) == [True]
        found = bot_of(world)
        assert found is not None
        assert found.risk_management.take_profit_percentage == "4"
