"""A missing prerequisite is reported in one line, with what to do."""

import ast
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import bootstrap
import pytest


def problem(
    *,
    version: tuple[int, ...] = (3, 11, 2),
    has: Collection[str] = ("venv", "ensurepip"),
    found: Sequence[str] = (),
    free_bytes: int = 50 * 10**9,
) -> str | None:
    """Return the problem on a machine that has everything except what the test sets."""
    return bootstrap.problem(
        version=version, has=set(has), found=list(found), free_bytes=free_bytes
    )


def test_a_machine_with_all_it_takes_has_no_problem() -> None:
    assert problem() is None


def test_an_old_python_is_told_which_newer_one_is_there() -> None:
    said = problem(version=(3, 9, 2), found=["python3.12"])
    assert said == (
        "Python 3.11 or later is needed, and this is 3.9; run: make up PYTHON=python3.12"
    )


def test_an_old_python_understands_the_script_that_refuses_it() -> None:
    source = Path(bootstrap.__file__).read_text()
    assert ast.parse(source, feature_version=(3, 7))


def test_an_old_python_alone_says_to_install_a_newer_one() -> None:
    said = problem(version=(3, 9, 2))
    assert said is not None
    assert "install one, then: make up PYTHON=" in said


@pytest.mark.parametrize("has", [{"venv"}, set()])
def test_debians_missing_venv_module_names_its_package(has: set[str]) -> None:
    said = problem(has=has)
    assert said is not None
    assert said.endswith("apt install python3.11-venv")


def test_too_little_disk_space_is_said_in_gigabytes() -> None:
    said = problem(free_bytes=200_000_000)
    assert said is not None
    assert said.startswith("0.2 GB are free")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Create a project without dependencies, so that no test uses a package index."""
    (tmp_path / "hack").mkdir()
    (tmp_path / "requirements-dev.txt").write_text("")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies/pyproject.toml").write_text("")
    return tmp_path


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the commands for pip. The environment is created for real, with an empty pip."""
    ran: list[str] = []
    real = bootstrap._run

    def run(command: list[str], root: Path) -> None:
        if "venv" in command:
            real([*command, "--without-pip"], root)
            (packages,) = root.glob(".venv/lib/python*/site-packages")
            (packages / "pip.py").touch()
        ran.append(" ".join(command[1:]))

    monkeypatch.setattr(bootstrap, "_run", run)
    return ran


def test_an_environment_is_made_once_and_again_when_the_lock_changes(
    checkout: Path, commands: list[str]
) -> None:
    assert bootstrap.install(checkout, sys.executable) is True
    assert [command.split()[1] for command in commands] == ["venv", "pip", "pip"]
    assert "--require-hashes" in commands[1]
    commands.clear()
    assert bootstrap.install(checkout, sys.executable) is False
    assert commands == []
    (checkout / "requirements-dev.txt").write_text("# changed\n")
    assert bootstrap.install(checkout, sys.executable) is True
    assert [command.split()[1] for command in commands] == ["pip", "pip"]


def test_an_interrupted_install_is_done_again_and_a_broken_environment_made_anew(
    checkout: Path, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap.install(checkout, sys.executable)
    (checkout / "requirements-dev.txt").write_text("# changed\n")
    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "_run", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.install(checkout, sys.executable)
    assert not (checkout / ".venv" / bootstrap.STAMP).exists()
    (checkout / ".venv" / "bin" / "python").unlink()
    commands.clear()
    assert bootstrap.install(checkout, sys.executable) is True
    assert [command.split()[1] for command in commands] == ["venv", "pip", "pip"]


def _interrupted(_command: list[str], _root: Path) -> None:
    raise KeyboardInterrupt


def test_a_failing_step_says_that_it_can_be_run_again(checkout: Path) -> None:
    (checkout / "requirements-dev.txt").write_text("no such requirement !\n")
    with pytest.raises(bootstrap.CannotInstallError, match="run the same target again to continue"):
        bootstrap.install(checkout, sys.executable)


def test_make_without_a_target_lists_each_target_with_what_it_does() -> None:
    done = subprocess.run(
        ["make", "-C", str(bootstrap.ROOT), "--no-print-directory"],
        capture_output=True,
        text=True,
        check=True,
    )
    for target in ("install", "up", "down", "clean", "status", "test", "lint", "bench", "lock"):
        assert f"  make {target} " in done.stdout


def test_make_says_in_one_line_that_the_named_python_is_not_there() -> None:
    done = subprocess.run(
        ["make", "-C", str(bootstrap.ROOT), "--no-print-directory", "install", "PYTHON=python9"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "error: python9 not found; Python 3.11 or later is required" in done.stderr
