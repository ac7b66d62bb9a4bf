"""The lines that kopf gets of a watch, and the objects that are handed past it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_operator import UNREADABLE
from tradingbot_operator.cluster.cache import Store
from tradingbot_operator.cluster.watching import lines
from tradingbot_operator.cluster.watching.lines import NUMBER, Handover, SafeLines, bounded_lines

META = {"name": "a-config", "namespace": "n", "uid": "u", "resourceVersion": "7"}


class Content:
    """A response that arrives in arbitrary pieces."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


def lines_of(*chunks: bytes) -> list[tuple[bytes, bool]]:
    async def main() -> list[tuple[bytes, bool]]:
        return [tuple(line) async for line in bounded_lines(Content(*chunks))]

    return asyncio.run(main())


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=20))
def test_lines_are_the_same_in_whatever_pieces_they_come(chunks: list[bytes]) -> None:
    whole = [line for line in b"".join(chunks).split(b"\n") if line]
    assert [text for text, _ in lines_of(*chunks)] == whole


def test_of_a_line_that_is_too_long_only_the_beginning_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 8)
    found = lines_of(b"one\n0123", b"4567", b"89", b"abc\ntwo\n", b"0123", b"4567\n")
    assert found == [(b"one", True), (b"01234567", False), (b"two", True), (b"01234567", True)]


def event(type_: str = "ADDED", meta: Any = None, **parts: Any) -> bytes:
    obj = {"kind": "ConfigMap", "metadata": META if meta is None else meta, **parts}
    return json.dumps({"type": type_, "object": obj}).encode() + b"\n"


def through(*chunks: bytes) -> tuple[list[Any], Handover, list[str]]:
    """Return the lines for kopf, the waiting objects, and the calls for unreadable lines."""
    handover, lost = Handover(), []

    async def main() -> list[Any]:
        lines = SafeLines(
            Content(*chunks), "ConfigMap", "v1", handover, lambda: lost.append("lost")
        )
        return [json.loads(line) async for line in lines.iter_chunked(1)]

    return asyncio.run(main()), handover, lost


def test_kopf_gets_what_identifies_an_object_and_the_handler_the_object() -> None:
    labels = {"trading.io/bot": "a"}
    config = {"bot.json": "{}", "other": "x" * 1000}
    (line,), handover, lost = through(event(meta={**META, "labels": labels}, data=config))
    assert line["type"] == "ADDED"
    assert line["object"].keys() == {"metadata", NUMBER}
    assert line["object"]["metadata"] == META
    obj = handover.take(line["object"][NUMBER])
    assert obj["data"] == {"bot.json": "{}"}
    assert (obj["kind"], obj["apiVersion"], lost) == ("ConfigMap", "v1", [])
    assert not handover._waiting


@pytest.mark.parametrize("labels", [{"trading.io/bot": "b"}, {}, None])
def test_the_data_of_a_config_map_that_no_bot_reads_is_not_kept(labels: Any) -> None:
    meta = {**META, "labels": labels}
    (line,), handover, _ = through(event(meta=meta, data={"bot.json": "x" * 900_000}))
    assert "data" not in handover.take(line["object"][NUMBER])


def test_a_hostile_object_is_a_stub_and_a_line_that_is_no_event_is_passed_over() -> None:
    deep = b"[" * 5000 + b"]" * 5000
    hostile = event(spec="@").replace(b'"@"', deep)
    lines, handover, lost = through(b"no\n\xff\n[1]\n{}\n", hostile, event(meta=[1]), event())
    first, last = (handover.take(line["object"][NUMBER]) for line in lines)
    assert first[UNREADABLE]
    assert UNREADABLE not in last
    assert len(lost) == 5


def test_bookmarks_and_errors_are_passed_on_with_what_kopf_reads() -> None:
    bookmark = event("BOOKMARK", meta={"resourceVersion": "9", "annotations": {"a": "b"}})
    status = {"kind": "Status", "code": 410, "message": "m" * 999, "metadata": {}}
    error = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    (first, second), _, lost = through(bookmark, error)
    assert first == {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    assert (second["object"]["code"], len(second["object"]["message"])) == (410, 200)
    assert lost == []


def test_an_error_of_our_own_ends_no_watch(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Any) -> Any:
        raise RecursionError

    async def main() -> list[bytes]:
        content = Content(event(), event("BOOKMARK", meta={"resourceVersion": "9"}))
        lines = SafeLines(content, "ConfigMap", "v1", Handover(), lambda: None, keeps=fail)
        return [line async for line in lines.iter_chunked(1)]

    assert len(asyncio.run(main())) == 1
    assert "Could not read a line" in caplog.text


def test_what_only_others_have_set_of_a_child_is_noted_before_its_managed_fields_go() -> None:
    ours = {"manager": "tradingbot-operator", "operation": "Apply", "fieldsV1": {"f:data": {}}}
    theirs = {"manager": "x", "operation": "Update", "fieldsV1": {"f:immutable": {}}}
    meta = {**META, "managedFields": [ours, theirs]}
    (line,), handover, _ = through(event(meta=meta, immutable=True))
    obj = handover.take(line["object"][NUMBER])
    assert "managedFields" not in obj["metadata"]
    assert obj["foreignFields"] == ["immutable"]
    store = Store()
    labels = {"trading.io/bot": "a"}
    store.put({**obj, "metadata": {**obj["metadata"], "labels": labels}})
    kept = store.get("ConfigMap", "n", "a-config")
    assert kept is not None
    assert kept["foreignFields"] == ["immutable"]
