"""How objects that any user may have written are read from bytes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from time_limits import ends
from tradingbot_operator import UNREADABLE
from tradingbot_operator.cluster.reading import object_reader
from tradingbot_operator.cluster.reading.json_spans import Cursor, MalformedError
from tradingbot_operator.cluster.reading.object_reader import Page, read_event, read_object

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)
LAYOUTS = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])

META = {
    "name": "arb",
    "namespace": "desk",
    "uid": "u-1",
    "resourceVersion": "7",
    "labels": {"trading.io/bot": "arb"},
    "finalizers": ["trading.io/cleanup"],
}
DEPTHS = (100, 300, 1200, 100_000)


def deep(depth: int, *, array: bool = False) -> str:
    opening, closing = ("[", "]") if array else ('{"name":', "}")
    return opening * depth + '{"name": "evil", "namespace": "evil"}' + closing * depth


def text_of(meta: Any = None, **parts: Any) -> bytes:
    """Return an object as JSON; parts given as bytes are inserted unchanged."""
    meta = META if meta is None else meta
    raw = {key: value for key, value in parts.items() if isinstance(value, bytes)}
    places = {key: f"@{key}@" for key in raw}
    text = json.dumps({"kind": "TradingBot", "metadata": meta, **parts, **places}).encode()
    for key, value in raw.items():
        text = text.replace(f'"@{key}@"'.encode(), value)
    return text


def with_managed_fields(value: str, **meta: Any) -> bytes:
    text = json.dumps({"kind": "TradingBot", "metadata": {"managedFields": "@", **META, **meta}})
    return text.replace('"@"', value).encode()


def read(text: bytes) -> Any:
    return read_object(text, "TradingBot", "trading.io/v1")


@settings(deadline=None)
@given(st.dictionaries(st.text(), DOCUMENTS, max_size=6), LAYOUTS)
def test_the_members_of_any_object_are_where_the_parser_finds_them(
    document: dict[str, Any], layout: Any
) -> None:
    text = json.dumps(document, **layout).encode()
    cursor = Cursor(text)
    found = {}
    for key in cursor.members():
        start, end = cursor.skip()
        found[key] = json.loads(text[start:end])
    assert found == document
    assert cursor.at == len(text)


@settings(deadline=None)
@given(st.lists(DOCUMENTS, max_size=6), LAYOUTS)
def test_the_elements_of_any_array_are_where_the_parser_finds_them(
    document: list[Any], layout: Any
) -> None:
    text = json.dumps(document, **layout).encode()
    cursor = Cursor(text)
    found = []
    for _ in cursor.elements():
        start, end = cursor.skip()
        found.append(json.loads(text[start:end]))
    assert found == document


@settings(deadline=None)
@given(st.dictionaries(st.text(), DOCUMENTS, max_size=4), st.data())
def test_a_text_that_is_cut_off_anywhere_is_malformed_and_not_a_crash(
    document: dict[str, Any], data: Any
) -> None:
    text = json.dumps(document).encode()
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(MalformedError):
        list(Cursor(cut).members())


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_exception(text: bytes) -> None:
    read(text)
    read_event(text, "TradingBot", "trading.io/v1")
    read_event(text, "TradingBot", "trading.io/v1", whole=False)


@settings(deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_an_object_of_any_types_is_an_object_a_stub_or_nothing(meta: Any, status: Any) -> None:
    whole = {**META, **meta} if isinstance(meta, dict) else meta
    found = read(text_of(whole, status=status))
    if found is not None:
        assert isinstance(found["metadata"]["name"], str)
        assert UNREADABLE in found or isinstance(found.get("status"), dict | None)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("array", [False, True])
def test_what_is_nested_in_managed_fields_changes_nothing(depth: int, array: bool) -> None:
    found = read(with_managed_fields(deep(depth, array=array)))
    assert UNREADABLE not in found
    found["metadata"].pop("managedFields")
    assert found["metadata"] == META


@pytest.mark.parametrize("depth", DEPTHS[1:])
def test_an_object_that_is_nested_too_deeply_is_known_by_its_own_name(depth: int) -> None:
    text = text_of(spec=deep(depth).encode(), aaa=deep(depth, array=True).encode())
    found = read(text)
    assert found == {
        "apiVersion": "trading.io/v1",
        "kind": "TradingBot",
        "metadata": META,
        UNREADABLE: object_reader.NOT_JSON,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["a"]},
        {"labels": {"a": 1}},
        {"annotations": "a"},
        {"finalizers": {"a": "b"}},
        {"ownerReferences": ["a"]},
        {"generation": "3"},
        {"deletionTimestamp": 5},
        {"resourceVersion": "9" * 5000},
        {"resourceVersion": 7},
        {"uid": []},
    ],
)
def test_a_wrong_type_in_the_metadata_makes_a_stub_without_it(change: Any) -> None:
    (key,) = change
    found = read(text_of({**META, **change}))
    assert key in found[UNREADABLE]
    assert key not in found["metadata"]
    assert found["metadata"]["name"] == "arb"


@pytest.mark.parametrize("meta", [None, [], "x", 5, {}, {"name": ["arb"], "namespace": "desk"}])
def test_an_object_that_no_name_is_known_of_is_nothing(meta: Any) -> None:
    text = json.dumps({"kind": "TradingBot", "metadata": meta}).encode()
    assert read(text) is None


@pytest.mark.parametrize("part", ["spec", "status", "data"])
def test_a_part_that_is_no_object_makes_a_stub(part: str) -> None:
    assert part in read(text_of(**{part: ["a"]}))[UNREADABLE]


def test_of_a_key_that_comes_twice_the_last_one_counts() -> None:
    inner = '"metadata": {"name": "first", "namespace": "first", "uid": "first"}'
    for spec in ("{}", deep(300)):
        meta = json.dumps({**META, "uid": "last"})
        text = f'{{"kind": "T", {inner}, "spec": {spec}, "metadata": {meta}}}'.encode()
        found = read(text)
        assert (found["metadata"]["uid"], found["metadata"]["name"]) == ("last", "arb")


def test_invalid_utf_8_costs_the_object_only_where_it_matters() -> None:
    assert UNREADABLE not in read(with_managed_fields('"X"').replace(b"X", b"\xff"))
    found = read(text_of(spec=b'{"a": "\xff"}'))
    assert (found[UNREADABLE], found["metadata"]) == (object_reader.NOT_JSON, META)


def test_an_event_is_read_and_the_object_of_a_line_that_is_too_long_is_named() -> None:
    for spec in (b"{}", deep(300).encode()):
        line = b'{"type": "MODIFIED", "object": ' + text_of(spec=spec) + b"}"
        event = read_event(line, "TradingBot", "trading.io/v1")
        assert event is not None
        assert (event.type, event.object["metadata"]["name"]) == ("MODIFIED", "arb")
    cut = read_event(line[:-200], "TradingBot", "trading.io/v1", whole=False)
    assert cut is not None
    assert (cut.object["metadata"], cut.object[UNREADABLE]) == (META, object_reader.TOO_LARGE)


@pytest.mark.parametrize(
    "line",
    [b"", b"null", b"[1]", b'{"type": "NEW"}', b'{"object": {}}', b'{"type": 5, "object": {}}'],
)
def test_a_line_that_is_no_event_is_nothing(line: bytes) -> None:
    assert read_event(line, "TradingBot", "trading.io/v1") is None


def page_of(*items: bytes, more: str = "") -> bytes:
    meta = json.dumps({"continue": more}).encode()
    joined = b", ".join(items)
    return b'{"kind": "List", "items": [' + joined + b'], "metadata": ' + meta + b"}"


def test_one_object_of_a_page_costs_only_itself() -> None:
    bad = text_of(spec=deep(300).encode())
    nameless = b'{"metadata": []}'
    page = Page(page_of(text_of(), bad, nameless, with_managed_fields(deep(1200)), more="token"))
    found = list(page.items("TradingBot", "trading.io/v1"))
    assert [UNREADABLE in obj for obj in found] == [False, True, False]
    assert (page.more, page.unidentified) == ("token", 1)


def test_a_page_that_is_too_long_gives_what_was_read_of_it() -> None:
    text = b'{"kind": "L", "metadata": {"continue": "token"}, "items": [' + text_of(spec=b"[" * 900)
    page = Page(text, whole=False)
    (found,) = page.items("TradingBot", "trading.io/v1")
    assert (found["metadata"], found[UNREADABLE]) == (META, object_reader.TOO_LARGE)
    assert page.more == "token"
    with pytest.raises(MalformedError):
        list(Page(text).items("TradingBot", "trading.io/v1"))


def test_the_largest_object_that_is_hard_to_read_is_read_in_time() -> None:
    depth = 300_000
    text = with_managed_fields('{"":' * depth + "1" + "}" * depth)
    with ends():  # half a second on a slow core
        assert UNREADABLE not in read(text)
