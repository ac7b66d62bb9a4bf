"""YAML and JSON as kubectl reads them, with places; and files that mean harm."""

from __future__ import annotations

import codecs
import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from time_limits import ends
from tradingbot_cli import manifests
from tradingbot_cli.errors import ManifestError
from tradingbot_cli.manifests import MAX_DEPTH, MAX_FILE, Document, documents

KUBECTL = Path(sys.executable).with_name("kubectl")
SCALARS = """
22:00 9:30 1:30:00.5 yes no on off y n Y N true True TRUE false null ~ Null NULL yEs nO TrUe
0777 0o17 08 1_000 1__0 _1 1_ 0x1F 0b11 0xZZ 0b2 0o8 0x 0b 0o 0 -0 +12 -12 123456789012345
18446744073709551615 9223372036854775807 -9223372036854775808 0.0 2.50 100.00 .5 5. -.5 1e3 1E3
1e-3 1e e1 . .. +. + -x 1.2.3 500m 256Mi 100% v1.4 a:b Infinity NaN inf nan 2026-11-24
2026-12-24T00:00:00Z 5.0 1e20 1e21 123456789012345678901 9223372036854775808 -0.0
"""


def only(text: str) -> Document:
    (document,) = documents(text.encode())
    return document


def refused(text: str | bytes) -> ManifestError:
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ManifestError) as caught:
        list(documents(content))
    return caught.value


def test_every_plain_scalar_means_what_it_means_to_kubectl(tmp_path: Path) -> None:
    lines = [f"  k{number}: {text}" for number, text in enumerate(SCALARS.split())]
    lines += [
        f"  key-{number}: {{{text}: v}}"
        for number, text in enumerate(["1", "true", "yes", "0x1F", "1.5"])
    ]
    text = "apiVersion: trading.io/v1\nkind: TradingBot\nmetadata: {name: a}\nspec:\n" + "\n".join(
        lines
    )
    (tmp_path / "a.yaml").write_text(text)
    told = subprocess.run(
        [KUBECTL, "label", "--local", "-f", tmp_path / "a.yaml", "a=b", "-o", "json"],
        capture_output=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    theirs = json.loads(told.stdout)["spec"]
    ours = only(text).root.value["spec"]
    different = {
        key: (ours[key], theirs[key])
        for key in theirs
        if (type(ours[key]), ours[key]) != (type(theirs[key]), theirs[key])
    }
    assert different == {}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-(2**53), 2**53)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=100, deadline=None)
@given(value=st.dictionaries(st.text(), JSON, min_size=1), ascii_only=st.booleans())
def test_json_is_read_as_json(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert only(text).root.value == value


@settings(max_examples=300, deadline=None)
@given(text=st.text() | st.text(alphabet="abc:-[]{}&*!|>'\"#%@` \n\t~<?,"))
def test_no_text_makes_the_reader_fail_in_another_way_than_its_own(text: str) -> None:
    with contextlib.suppress(ManifestError):
        list(documents(text.encode("utf-8", "surrogatepass")))


def test_places_are_those_in_the_file() -> None:
    document = only("a:\n  - b: one\n    c: {d: two}\n")
    node, key, taken = document.find(("a", 0, "c", "d"))
    assert (node.value, node.at.line, node.at.column, node.at.end) == ("two", 3, 12, 15)
    assert key is not None
    assert (key.line, key.column) == (3, 9)
    assert taken == 4


def test_what_is_not_in_the_file_is_found_at_what_it_would_stand_in() -> None:
    node, key, taken = only("a:\n  b: {}\n").find(("a", "b", "c", 3, "d"))
    assert (node.value, taken) == ({}, 2)
    assert key is not None
    assert key.line == 2


def test_empty_documents_are_left_out_and_still_counted() -> None:
    found = list(documents(b"---\n---\na: 1\n---\n# nothing\n---\nb: 2\n"))
    assert [(d.number, d.root.value) for d in found] == [(2, {"a": 1}), (4, {"b": 2})]


def test_aliases_and_merge_keys_are_resolved_as_kubectl_does() -> None:
    text = (
        "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nlist: [*b, *b]\ntwo: {<<: [{x: 5}, *b]}\n"
    )
    assert only(text).root.value == {
        "base": {"x": 1, "true": 2},
        "use": {"x": 1, "true": 3},
        "list": [{"x": 1, "true": 2}] * 2,
        "two": {"x": 5, "true": 2},
    }


def test_a_quoted_merge_key_is_a_key_like_any_other() -> None:
    assert only('"<<": {a: 1}').root.value == {"<<": {"a": 1}}


def test_a_billion_laughs_are_refused_at_once() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with ends():
        error = refused("\n".join(lines))
    assert "values, with those that aliases repeat" in str(error)


def test_merge_keys_can_not_multiply_either() -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(100)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    with ends():
        assert "values" in str(refused("\n".join(lines)))


def test_an_alias_of_itself_is_refused() -> None:
    error = refused("a: &a\n  b: *a\n")
    assert (str(error), error.line, error.column) == ("the alias contains itself", 2, 6)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", '{"a":'])
def test_deep_nesting_is_refused_at_once(opening: str) -> None:
    with ends():
        assert re.search("nested deeper|nesting depth", str(refused(opening * 200_000)))


def test_nesting_up_to_the_bound_is_read() -> None:
    assert only("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)).root.value
    error = refused("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert str(error) == "nested deeper than 64 levels"


def test_a_file_over_8_mib_is_refused() -> None:
    assert str(refused(b"#" * (MAX_FILE + 1))) == "larger than 8 MiB: split it"


def test_a_document_of_too_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert manifests.MAX_VALUES == 250_000
    monkeypatch.setattr(manifests, "MAX_VALUES", 250)  # to read so many takes four seconds
    # The list is a value too.
    assert len(only("a: [" + "1," * 246 + "]").root.value["a"]) == 246
    assert "more than 250 values" in str(refused("a: [" + "1," * 250 + "]"))


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("a: 1\nb:\n  c: 2\n  c: 3\n", 'the key "c" is duplicated, first on line 3', 4, 3),
        ('{"a": 1, "a": 2}', 'the key "a" is duplicated, first on line 1', 1, 10),
        ("1: a\n'1': b\n", 'the key "1" is duplicated, first on line 1', 2, 1),
        ("a: b: c\n", "malformed YAML: mapping values are not allowed in this context", 1, 5),
        ("a:\n\t- b\n", "malformed YAML: found character that cannot start any token", 2, 1),
        ("a: [1, 2\n", "malformed YAML: did not find expected ',' or ']'", 2, 1),
        ("a: 'b\n", "malformed YAML: found unexpected end of stream", 2, 1),
        ("a: .nan\n", "not a finite number", 1, 4),
        ("a: 1e999\n", "not a finite number", 1, 4),
        ("a: !!python/object:os.system x\n", "this tag has no meaning in a manifest", 1, 4),
        ("a: !!int x\n", "the value does not fit its tag", 1, 4),
        ("? [a]\n: b\n", "a key must be a plain value", 1, 3),
        ("~: b\n", "a key may not be null", 1, 1),
        ("a: *b\n", "malformed YAML", 1, 4),
        ("a: {<<: 5}\n", "<< takes a mapping or a list of them", 1, 9),
    ],
)
def test_what_is_wrong_is_said_with_line_and_column(
    text: str, message: str, line: int, column: int
) -> None:
    error = refused(text)
    assert str(error).startswith(message) or "has no anchor before it" in str(error)
    assert (error.line, error.column) == (line, column)


def test_bytes_that_are_no_text_are_refused() -> None:
    for mark in (b"", b"\xef\xbb\xbf"):
        error = refused(mark + "a: 1\nbü: \xff\n".encode("latin-1").replace(b"\xfc", "ü".encode()))
        assert (str(error), error.line, error.column) == ("not UTF-8 text", 2, 5)
    error = refused("a: 1\nbü: \x00b")
    assert (str(error), error.line, error.column) == (
        "malformed YAML: control characters are not allowed",
        2,
        5,
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-32"])
def test_utf_16_is_refused_at_its_first_character(encoding: str) -> None:
    marks = {"utf-16-be": codecs.BOM_UTF16_BE, "utf-16-le": codecs.BOM_UTF16_LE}
    error = refused(marks.get(encoding, b"") + "a: 1\n".encode(encoding))
    assert (str(error), error.line, error.column) == (
        "not UTF-8 text but UTF-16: save it as UTF-8",
        1,
        1,
    )
    error = refused("a: 1\n".encode("utf-16-be"))
    assert "control characters are not allowed" in str(error)
    assert (error.line, error.column) == (1, 1)


def test_lines_may_end_as_on_windows() -> None:
    node, _, _ = only("a:\r\n  b: one\r\n").find(("a", "b"))
    assert (node.value, node.at.line, node.at.column, node.at.end) == ("one", 2, 6, 9)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    (document,) = documents(b"\xef\xbb\xbfa: 1\n")
    assert document.root.value == {"a": 1}


def test_documents_before_a_syntax_error_are_read() -> None:
    found = documents(b"a: 1\n---\nb: [\n")
    assert next(found).root.value == {"a": 1}
    with pytest.raises(ManifestError):
        next(found)


def test_surrogate_pairs_in_json_are_characters() -> None:
    assert only('{"a": "\\ud83d\\ude00"}').root.value == {"a": "\U0001f600"}


def test_what_yaml_takes_for_a_line_break_is_a_character_in_json() -> None:
    assert only('{"a": "x\x85\u2028y"}').root.value == {"a": "x\x85\u2028y"}


def test_a_key_that_stands_twice_in_json_is_refused_too() -> None:
    assert refused('{\n"a": 1,\n"a": 2}').line == 3
    error = refused('{"x": "\\ud83d\\ude00", "a": 1, "a": 2}')
    assert str(error) == "a key is duplicated in the same object"
