"""The version is in pyproject.toml; every file that repeats it is checked and generated."""

import re
import shutil
from pathlib import Path

import pytest
from release.errors import ReleaseError
from release.versions import PLACES, project_version, version_problems, with_version

ROOT = Path(__file__).parents[2]
VERSION = project_version(ROOT)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that state the version."""
    files = {path for place in PLACES for path in ROOT.glob(place.files)}
    for path in {*files, ROOT / "pyproject.toml"}:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return tmp_path


def statements() -> list[tuple[str, str]]:
    """Each place that states the version: a file, and the line with the version in it."""
    found = {
        (str(path.relative_to(ROOT)), match[0])
        for place in PLACES
        for path in ROOT.glob(place.files)
        for match in re.finditer(place.pattern, path.read_text("utf-8"), re.MULTILINE)
    }
    return sorted(found)


def test_every_file_of_this_checkout_has_the_version() -> None:
    assert version_problems(ROOT) == []


@pytest.mark.parametrize(("file", "text"), statements())
def test_a_file_with_another_version_is_reported(checkout: Path, file: str, text: str) -> None:
    path = checkout / file
    path.write_text(path.read_text("utf-8").replace(text, text.replace(VERSION, "9.8.7"), 1))
    (problem,) = version_problems(checkout)
    assert re.match(rf"{re.escape(file)}:\d+: the version is 9\.8\.7, and {VERSION} in", problem)
    repaired = with_version({}, root=checkout)[Path(file)]
    assert repaired == (ROOT / file).read_text("utf-8")


@pytest.mark.parametrize("file", ["charts/tradingbot-operator/Chart.yaml", "Dockerfile"])
def test_a_file_that_states_no_version_any_more_is_reported(checkout: Path, file: str) -> None:
    path = checkout / file
    path.write_text(path.read_text("utf-8").replace(VERSION, ""))
    problems = version_problems(checkout)
    assert problems
    assert all(problem.startswith(f"{file}: nothing matches") for problem in problems)


def test_a_new_version_goes_into_every_file(checkout: Path) -> None:
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text("utf-8").replace(f'"{VERSION}"', '"12.0.3"', 1))
    assert {problem.partition(":")[0] for problem in version_problems(checkout)} == {
        file for file, _ in statements()
    }
    for path, text in with_version({}, root=checkout).items():
        (checkout / path).write_text(text, "utf-8")
    assert version_problems(checkout) == []


def test_text_that_is_generated_for_another_reason_is_kept(checkout: Path) -> None:
    page = Path("docs/admission.md")
    generated = {page: "newly generated\n    rev: v0.0.1\n"}
    assert with_version(generated, root=checkout)[page] == f"newly generated\n    rev: v{VERSION}\n"


@pytest.mark.parametrize("version", ["1.0", "1.0.0rc1", "v1.0.0"])
def test_a_version_that_helm_or_python_refuses_is_an_error(tmp_path: Path, version: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    with pytest.raises(ReleaseError, match="use three numbers"):
        project_version(tmp_path)
