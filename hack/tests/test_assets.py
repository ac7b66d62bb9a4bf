"""Binaries come from KUBEBUILDER_ASSETS, else from the cache, else from one build."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest
from tradingbot_dev.errors import BuildError, DiskSpaceError, ToolMissingError
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain import assets, gobuild, gotoolchain
from tradingbot_dev.toolchain.assets import cache_directory, find_assets
from tradingbot_dev.toolchain.targets import KWOK, TARGETS, Target


class RecordingBuilder:
    """Creates empty executables, and records the requested targets."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(
        self,
        missing: Mapping[Target, Path],
        *,
        cache: Path,
        progress: Progress,
    ) -> None:
        self.asked.append([target.binary for target in missing])
        for path in missing.values():
            executable(path)


def executable(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}


def test_everything_is_built_once_and_then_found(environment: dict[str, str]) -> None:
    build = RecordingBuilder()
    first = find_assets(environment=environment, build=build, progress=Progress(StringIO()))
    second = find_assets(environment=environment, build=build, progress=Progress(StringIO()))
    assert first == second
    assert build.asked == [[target.binary for target in TARGETS]]


def test_only_what_is_missing_is_built(environment: dict[str, str]) -> None:
    cache = cache_directory(environment)
    for target in TARGETS[:3]:
        executable(cache / target.key / target.binary)
    build = RecordingBuilder()
    find_assets(environment=environment, build=build, progress=Progress(StringIO()))
    assert build.asked == [["kube-scheduler", "kwok"]]


def test_a_relative_cache_directory_is_ignored_as_its_specification_says(tmp_path: Path) -> None:
    found = cache_directory({"XDG_CACHE_HOME": "relative", "HOME": str(tmp_path)})
    assert found == tmp_path / ".cache" / "tradingbot" / "control-plane"


def test_another_pin_is_another_key(tmp_path: Path) -> None:
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module x\n\ngo 1.26.0\n")
    (module / "go.sum").write_text("a\n")
    target = Target("x", module, "example.com/x")
    before = target.key
    (module / "go.sum").write_text("b\n")
    assert target.key != before


def test_kubernetes_binaries_know_the_pinned_version() -> None:
    server = next(target for target in TARGETS if target.binary == "kube-apiserver")
    assert "gitVersion=v1.37." in server.link_flags
    assert "gitMajor=1 " in server.link_flags
    assert server.link_flags.endswith("gitMinor=37")
    assert "gitVersion" not in KWOK.link_flags


def test_kubebuilder_assets_without_an_api_server_is_refused(tmp_path: Path) -> None:
    executable(tmp_path / "etcd")
    with pytest.raises(ToolMissingError, match="lacks kube-apiserver: correct it"):
        find_assets(environment={"KUBEBUILDER_ASSETS": str(tmp_path)}, build=RecordingBuilder())


def test_the_rest_of_what_kubebuilder_assets_lacks_is_built(
    environment: dict[str, str], tmp_path: Path
) -> None:
    for name in ("etcd", "kube-apiserver", "kwok"):
        executable(tmp_path / name)
    build = RecordingBuilder()
    found = find_assets(
        environment={**environment, "KUBEBUILDER_ASSETS": str(tmp_path)},
        build=build,
        progress=Progress(StringIO()),
    )
    assert found.etcd == tmp_path / "etcd"
    assert build.asked == [["kube-controller-manager", "kube-scheduler", "kwok"]], (
        "a kwok without its stages is of no use"
    )


def test_a_complete_kubebuilder_assets_needs_neither_cache_nor_build(tmp_path: Path) -> None:
    for target in TARGETS:
        executable(tmp_path / target.binary)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "pod.yaml").touch()
    build = RecordingBuilder()
    environment = {"KUBEBUILDER_ASSETS": str(tmp_path), "HOME": "/nonexistent"}
    found = find_assets(environment=environment, build=build)
    assert build.asked == []
    assert found.kwok_stages == (tmp_path / "stages" / "pod.yaml",)


def test_of_two_builders_at_once_the_second_waits_and_uses_what_the_first_made(
    environment: dict[str, str],
) -> None:
    building, finish = threading.Event(), threading.Event()
    first, second = RecordingBuilder(), RecordingBuilder()

    def slow(missing: Mapping[Target, Path], *, cache: Path, progress: Progress) -> None:
        building.set()
        assert finish.wait(STUCK_SECONDS)
        first(missing, cache=cache, progress=progress)

    said = StringIO()
    one = threading.Thread(target=find_assets, kwargs={"environment": environment, "build": slow})
    one.start()
    assert building.wait(STUCK_SECONDS)
    two = threading.Thread(
        target=find_assets,
        kwargs={"environment": environment, "build": second, "progress": Progress(said)},
    )
    two.start()
    deadline = time.monotonic() + STUCK_SECONDS
    while "waiting for another build" not in said.getvalue():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    finish.set()
    one.join(STUCK_SECONDS)
    two.join(STUCK_SECONDS)
    assert len(first.asked) == 1
    assert second.asked == []
    assert str(os.getpid()) in said.getvalue()


# A fake `go`, since not every machine has one. It prints what go prints, and the file `behave`
# beside it sets what its `build` does.
GO = """#!{python}
import pathlib, sys, time
here = pathlib.Path(__file__).parent
command = sys.argv[1]
if command == "version":
    print((here / "version").read_text())
elif command == "env":
    print(here / "cache"); print(here / "modules")
elif command == "list" and "-m" in sys.argv:
    print(here / "kwok")
elif command == "list":
    print("go: downloading example.com/a v1.0.0", file=sys.stderr)
    print("\\n".join("p%d" % n for n in range(4)))
elif command == "build":
    for n in range(4):
        print("p%d" % n, file=sys.stderr, flush=True)
    behave = (here / "behave").read_text()
    out = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
    out.write_text("half")
    if behave == "fail":
        print("# p3\\n./x.go:1:1: undefined: y", file=sys.stderr); sys.exit(1)
    if behave == "hang":
        (here / "hanging").touch(); time.sleep(600)
    out.write_text("whole"); out.chmod(0o755)
"""


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """Create the directory of a fake `go` of version 1.99, for the PATH."""
    directory = tmp_path / "go"
    directory.mkdir()
    (directory / "go").write_text(GO.format(python=sys.executable))
    (directory / "go").chmod(0o755)
    (directory / "version").write_text("go version go1.99.1 linux/amd64")
    (directory / "behave").write_text("succeed")
    for part in ("node/fast", "node/heartbeat-with-lease", "pod/fast"):
        stage = directory / "kwok" / "kustomize" / "stage" / part
        stage.mkdir(parents=True)
        (stage / f"{part.replace('/', '-')}.yaml").touch()
        (stage / "kustomization.yaml").touch()
    return directory


@pytest.fixture
def on_path(go: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{go}:{os.environ['PATH']}")
    return go


def test_a_build_puts_whole_binaries_and_kwoks_stages_into_the_cache(
    on_path: Path, environment: dict[str, str]
) -> None:
    said = StringIO()
    found = find_assets(environment=environment, progress=Progress(said))
    assert found.kube_apiserver.read_text() == "whole"
    assert [stage.name for stage in found.kwok_stages] == [
        "node-fast.yaml",
        "node-heartbeat-with-lease.yaml",
        "pod-fast.yaml",
    ]
    assert said.getvalue().startswith("building with Go 1.99.1: the control plane, once, ")
    assert "[5/5] kwok: built in" in said.getvalue()


def test_a_build_of_something_else_says_what_it_is(
    on_path: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    said = StringIO()
    cache = cache_directory(environment)
    gobuild.build(
        {TARGETS[0]: tmp_path / "binary"}, cache=cache, progress=Progress(said), title="a peer"
    )
    assert said.getvalue().startswith("building with Go 1.99.1: a peer\n")
    assert "the control plane" not in said.getvalue()


def test_a_failing_build_shows_the_compilers_words_and_leaves_no_half_binary(
    on_path: Path, environment: dict[str, str]
) -> None:
    (on_path / "behave").write_text("fail")
    with pytest.raises(BuildError) as caught:
        find_assets(environment=environment, progress=Progress(StringIO()))
    assert "undefined: y" in caught.value.detail
    assert "etcd.log" in str(caught.value)
    left = [path.name for path in cache_directory(environment).rglob("*") if path.is_file()]
    assert sorted(left) == ["etcd.log", "lock"]


def test_an_interrupted_build_leaves_no_half_binary_and_the_next_try_completes_it(
    on_path: Path, environment: dict[str, str]
) -> None:
    (on_path / "behave").write_text("hang")
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from tradingbot_dev.toolchain.assets import find_assets; find_assets()"
    )
    path = {"PYTHONPATH": str(Path(assets.__file__).parents[2]), "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        [sys.executable, "-c", program], env={**environment, **path}, stderr=subprocess.PIPE
    ) as building:
        deadline = time.monotonic() + STUCK_SECONDS
        while not (on_path / "hanging").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        building.send_signal(signal.SIGINT)
        try:
            assert building.wait(STUCK_SECONDS) != 0
        finally:
            building.kill()
    left = [path.name for path in cache_directory(environment).rglob("*") if path.is_file()]
    assert sorted(left) == ["etcd.log", "lock"]
    (on_path / "behave").write_text("succeed")
    assert find_assets(environment=environment, progress=Progress(StringIO())).etcd.exists()


def test_a_go_that_is_too_old_is_passed_over_for_the_pinned_wheel(
    on_path: Path, environment: dict[str, str]
) -> None:
    cache = cache_directory(environment)
    pinned = gotoolchain.REQUIREMENTS.read_bytes()
    wheel = cache / f"go-{hashlib.sha256(pinned).hexdigest()[:16]}" / "go" / "bin"
    shutil.copytree(on_path, wheel)
    (wheel / "version").write_text("go version go1.99.0 linux/amd64")
    (on_path / "version").write_text("go version go1.21.0 linux/amd64")
    said = StringIO()
    modules = [target.module for target in TARGETS]
    found = gotoolchain.find_go(modules, cache=cache, progress=Progress(said))
    assert found.command == wheel / "go"
    assert "Go 1.21.0 is on the PATH and Go 1.26.0 is needed" in said.getvalue()


def test_a_build_with_too_little_disk_space_is_refused_before_it_begins(
    on_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gobuild, "NEEDED_BYTES", 10**18)
    with pytest.raises(DiskSpaceError, match="free some space, or set GOCACHE"):
        find_assets(environment=environment, progress=Progress(StringIO()))
