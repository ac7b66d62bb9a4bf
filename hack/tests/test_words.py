"""The check of words: what it reports, and what it leaves alone."""

import subprocess
import sys
from pathlib import Path

import pytest
from words import __main__ as command
from words.check import check, read_list

LIST = (Path(command.ROOT) / command.LIST).read_text(encoding="utf-8")
REFUSED = read_list(LIST)


def found(text: str, *, path: str = "page.md") -> list[tuple[int, str]]:
    return [(finding.line, finding.phrase) for finding in check(path, text, REFUSED)]


@pytest.mark.parametrize(
    "phrase",
    [
        "anew",
        "Mended",
        "tell the operator of",
        "told of",
        "looks at",
        "look twice at",
        "stands in",
        "what there is",
        "come true",
        "take them up",
        "whoever",
        "folders",
        "shall",
        "reckoned",
        "is no float",
        "catalogue",
        "of yours",
    ],
)
def test_a_refused_phrase_is_reported_with_its_line_and_what_to_write(phrase: str) -> None:
    (finding,) = check("page.md", f"One line.\nHere {phrase} is.\n", REFUSED)

    assert (finding.path, finding.line, finding.phrase) == ("page.md", 2, phrase)
    assert finding.instead
    assert str(finding).startswith(f'page.md:2: "{phrase}": write: ')


@pytest.mark.parametrize(
    "text",
    [
        "recommended",
        "a renewed lease",
        "It stands in for the base image.",
        "tells which of the two acts",
        "there is no registry",
        "If there\nare no pods",
        "the pod is no longer there",
        "Name it with `folder` or `catalogue`.",
        "A stand-in for it.",
    ],
)
def test_plain_english_is_not_reported(text: str) -> None:
    assert found(text) == []


def test_a_phrase_is_found_across_lines_and_comment_signs() -> None:
    assert found("that is what\nthere is") == [(1, "what there is")]
    assert found("# must be looked\n  # at again\n", path="a.yaml") == [(1, "looked at")]


def test_in_python_only_comments_and_strings_count() -> None:
    source = (
        '"""A folder."""\n'
        "folder = 1  # the folder\n"
        'print(f"in {1} of a folder", folder)\n'
        "# a look\n"
        "# at it\n"
    )

    assert found(source, path="a.py") == [
        (1, "folder"),
        (2, "folder"),
        (3, "folder"),
        (4, "look at"),
    ]


def test_a_line_can_be_allowed() -> None:
    assert found("folder <!-- words: allow -->\nfolder") == [(2, "folder")]


def test_generated_text_is_left_to_its_source() -> None:
    generated = "# Generated from the models in api/ by `make generate`; do not edit.\nfolder\n"
    page = "a\n<!-- Generated from x; do not edit from here -->\nfolder\n<!-- to here -->\nfolder\n"

    assert found(generated, path="a.yaml") == []
    assert found(page) == [(5, "folder")]


def test_an_entry_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValueError, match="'insted'"):
        read_list('[[refused]]\nwords = "x"\ninsted = "y"\n')


def test_paths_limit_what_is_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "ROOT", tmp_path)
    (tmp_path / "hack/words").mkdir(parents=True)
    (tmp_path / command.LIST).write_text(LIST)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/page.md").write_text("folder\n")
    (tmp_path / "good").mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)

    assert command.main(["good"]) == 0
    assert command.main([]) == 1
    assert "bad/page.md:1" in capsys.readouterr().out


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "words", "hack/words"],
        cwd=command.ROOT,
        env={"PYTHONPATH": "hack", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
