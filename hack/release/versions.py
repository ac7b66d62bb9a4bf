"""The version of the project, which pyproject.toml states, and the files that repeat the version.

`make generate` writes the version into those files; `make release-check` reports the ones that
differ.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from release.errors import ReleaseError

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "tradingbot-operator"
# Both PEP 440 and SemVer read these three numbers, so that wheel and chart have one version.
NUMBERS = r"\d+\.\d+\.\d+"


@dataclass(frozen=True)
class Place:
    """Files that repeat the version: a glob, and a pattern whose only group is the version."""

    files: str
    pattern: str


# An image or a file of a release. In the documentation any number of them may stand.
_ARTIFACT = rf"\btradingbot[-_](?:operator|strategies)[:-]({NUMBERS})"
PLACES = (
    Place("charts/tradingbot-operator/Chart.yaml", r"^version: (\S+)$"),
    Place("charts/tradingbot-operator/Chart.yaml", r"^appVersion: (\S+)$"),
    Place("config/release/kustomization.yaml", r"^ +newTag: (\S+)$"),
    Place("config/release/kustomization.yaml", r"^ +app\.kubernetes\.io/version: (\S+)$"),
    Place("Dockerfile", r"^ARG VERSION=(\S+)$"),
    Place("Dockerfile", _ARTIFACT),
    Place("config/samples/demo/*.yaml", _ARTIFACT),
    Place("strategies/pyproject.toml", r'^version = "(\S+)"$'),
    Place("docs/image.md", rf"\bVERSION=({NUMBERS})"),
    Place("docs/admission.md", r"^ +rev: v(\S+)$"),
    Place("docs/*.md", _ARTIFACT),
)


@dataclass(frozen=True)
class Statement:
    """One place in a file where the version stands."""

    line: int
    start: int
    end: int
    version: str


def project_version(root: Path) -> str:
    """Return the version in pyproject.toml. Raises ReleaseError for any form but X.Y.Z."""
    version = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    if not re.fullmatch(NUMBERS, version):
        raise ReleaseError(
            f"the version in pyproject.toml is {version}: use three numbers, such as 1.2.3, "
            f"which Python and Helm both accept"
        )
    return str(version)


def version_problems(root: Path) -> list[str]:
    """Return one line for each file that does not state the version of pyproject.toml."""
    version = project_version(root)
    problems = []
    for place in PLACES:
        found = False
        for path in sorted(root.glob(place.files)):
            for statement in _statements(path.read_text("utf-8"), place.pattern):
                found = True
                if statement.version != version:
                    problems.append(
                        f"{path.relative_to(root)}:{statement.line}: the version is "
                        f"{statement.version}, and {version} in pyproject.toml: run `make generate`"
                    )
        if not found:
            problems.append(
                f"{place.files}: nothing matches `{place.pattern}`, which has to be there"
            )
    return problems


def with_version(generated: Mapping[Path, str], *, root: Path = ROOT) -> dict[Path, str]:
    """Return the text of each file that repeats the version, with the version of pyproject.toml.

    `generated` has the new text of files that are generated for other reasons too, by their paths
    relative to `root`.
    """
    version = project_version(root)
    texts: dict[Path, str] = {}
    for place in PLACES:
        for file in sorted(root.glob(place.files)):
            path = file.relative_to(root)
            text = texts.get(path) or generated.get(path) or file.read_text("utf-8")
            statements = list(_statements(text, place.pattern))
            for statement in reversed(statements):  # from the end, so that offsets stay right
                text = text[: statement.start] + version + text[statement.end :]
            if statements:
                texts[path] = text
    return texts


def _statements(text: str, pattern: str) -> Iterator[Statement]:
    for match in re.finditer(pattern, text, re.MULTILINE):
        line = text.count("\n", 0, match.start(1)) + 1
        yield Statement(line, match.start(1), match.end(1), match[1])
