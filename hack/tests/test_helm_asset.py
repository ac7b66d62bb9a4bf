"""Helm is found, or built once, and never for `make up`."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain.helm import HELM, find_helm
from tradingbot_dev.toolchain.targets import TARGETS, Target


def test_it_is_built_once_and_then_found(tmp_path: Path) -> None:
    asked: list[str] = []

    def build(missing: Mapping[Target, Path], *, cache: Path, progress: Progress) -> None:
        for target, path in missing.items():
            asked.append(target.binary)
            path.parent.mkdir(parents=True)
            path.touch(mode=0o755)

    environment = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    found = [
        find_helm(environment=environment, progress=Progress(StringIO()), build=build)
        for _ in range(2)
    ]
    assert asked == ["helm"]
    assert found[0] == found[1]
    assert found[0].is_relative_to(tmp_path)


def test_one_beside_the_given_binaries_is_taken(tmp_path: Path) -> None:
    (tmp_path / "helm").touch(mode=0o755)
    assert find_helm(environment={"KUBEBUILDER_ASSETS": str(tmp_path)}) == tmp_path / "helm"


def test_what_make_up_builds_has_no_helm() -> None:
    assert HELM not in TARGETS
