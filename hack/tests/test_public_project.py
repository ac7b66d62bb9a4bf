"""The files for the forge name what exists: targets, directories, programs, paths."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
IDS = [path.name for path in WORKFLOWS]


def loaded(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def tracked(name: str) -> set[str]:
    """The directories with a file of this name, as dependabot writes them."""
    left_out = {".venv", ".local", "build", "dist"}
    found = {path.parent.relative_to(ROOT) for path in ROOT.rglob(name)}
    return {f"/{path}" if path.parts else "/" for path in found if not left_out & {*path.parts}}


@pytest.mark.parametrize("path", WORKFLOWS, ids=IDS)
def test_steps_call_targets_of_the_makefile(path: Path) -> None:
    targets = set(
        re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    )
    for job in loaded(path)["jobs"].values():
        for step in job.get("steps", ()):
            command = step.get("run", "")
            called = re.findall(r"\bmake (?:--\S+ )*([a-z0-9-]+)", command)
            assert set(called) <= targets
            # No step builds by itself: what it does can be done on a developer's machine.
            assert not re.search(r"\b(pip|python|helm|kubectl|buildx)\b", command)


@pytest.mark.parametrize("path", WORKFLOWS, ids=IDS)
def test_actions_are_pinned_and_rights_are_granted_job_by_job(path: Path) -> None:
    text = path.read_text("utf-8")
    for used in re.findall(r"uses: (\S+.*)$", text, re.MULTILINE):
        assert re.match(r"\./\.github/|[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used
    workflow = loaded(path)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert "permissions" in job
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
    writing = [name for name, job in workflow["jobs"].items() if "write" in str(job["permissions"])]
    assert not writing or path.name == "release.yml"


def test_the_job_that_may_write_to_the_repository_runs_no_checkout() -> None:
    jobs = loaded(ROOT / ".github/workflows/release.yml")["jobs"]
    (writer,) = [job for job in jobs.values() if job["permissions"].get("contents") == "write"]
    assert not any("checkout" in step.get("uses", "") for step in writer["steps"])


def test_the_matrix_is_what_the_project_says_it_supports() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    classified = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)
    matrix = loaded(ROOT / ".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == classified
    assert f'requires-python = ">={classified[0]}"' in text


def test_the_documented_versions_of_kubernetes_are_those_of_tests_and_chart() -> None:
    table = (ROOT / "docs/install.md").read_text("utf-8")
    tested = re.findall(r"^\| (1\.\d+) \| tested", table, re.MULTILINE)
    expected = re.findall(r"^\| (1\.\d+) to 1\.\d+ \| expected", table, re.MULTILINE)
    module = (ROOT / "hack/control-plane/kubernetes/go.mod").read_text("utf-8")
    assert tested == re.findall(r"\bk8s\.io/kubernetes v(1\.\d+)\.\d+", module)[:1]
    chart = loaded(ROOT / "charts/tradingbot-operator/Chart.yaml")
    assert chart["kubeVersion"] == f">={expected[0]}.0-0"


def test_dependency_updates_cover_every_module_and_dockerfile() -> None:
    updates = {
        one["package-ecosystem"]: one for one in loaded(ROOT / ".github/dependabot.yml")["updates"]
    }
    assert set(updates["gomod"]["directories"]) == tracked("go.mod")
    assert set(updates["cargo"]["directories"]) == tracked("Cargo.toml")
    assert set(updates["docker"]["directories"]) == tracked("*Dockerfile")
    assert set(updates["pip"]["directories"]) == tracked("*requirements.txt")


def test_owners_are_of_paths_that_exist() -> None:
    for line in (ROOT / ".github/CODEOWNERS").read_text("utf-8").splitlines():
        if line.startswith("/"):
            assert (ROOT / line.split()[0].strip("/")).exists(), line


def test_hooks_run_programs_and_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (local,) = loaded(ROOT / ".pre-commit-config.yaml")["repos"]
    for hook in local["hooks"]:
        program, *arguments = hook["entry"].split()
        if program == "make":
            assert f"\n{arguments[0]}: " in makefile
        else:
            assert (ROOT / program).exists(), hook["id"]
        for argument in [*arguments, *hook.get("args", ())]:
            if "/" in argument:
                assert (ROOT / argument).exists(), hook["id"]
