"""The rules that choose the files of an image, tested without root and without a build."""

import os
import tomllib
from pathlib import Path

import pytest
from image import rootfs
from tradingbot_dev.errors import ToolMissingError
from tradingbot_node.images import base_images, build_context, buildah, package_index
from tradingbot_node.images.build import ROOT
from tradingbot_node.images.dockerfile import target_of
from tradingbot_node.images.own import STRATEGIES_TARGET

LDD = """\
\tlinux-vdso.so.1 (0x00007ffd8c3f2000)
\tlibpython3.13.so.1.0 => /usr/local/lib/libpython3.13.so.1.0 (0x00007f1000000000)
\tlibc.so.6 => /lib/some-triplet/libc.so.6 (0x00007f2000000000)
\t/lib64/ld-linux.so.2 (0x00007f3000000000)
"""


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("json/decoder.py", True),
        ("lib-dynload/_ssl.cpython-313.so", True),
        ("lib-dynload/_testcapi.cpython-313.so", False),
        ("lib-dynload/_tkinter.cpython-313.so", False),
        ("test/regrtest.py", False),
        ("ensurepip/__init__.py", False),
        ("site-packages/pip/__init__.py", False),
        ("json/__pycache__/decoder.cpython-313.pyc", False),
        ("config-3.13-some-triplet/Makefile", False),
        ("contextlib.py", True),
    ],
)
def test_the_standard_library_without_what_nothing_runs(path: str, wanted: bool) -> None:
    assert rootfs.of_library(Path(path)) is wanted


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("bin", True),
        ("bin/tradingbot", True),
        ("bin/python3", True),
        ("bin/flask", False),
        ("bin/activate", False),
        ("lib/python3.13/site-packages/kubernetes/client/rest.py", True),
        ("lib/python3.13/site-packages/kubernetes/aio", False),
        ("lib/python3.13/site-packages/uvloop/loop.pyx", False),
        ("lib/python3.13/site-packages/uvloop/loop.cpython-313.so", True),
        ("lib/python3.13/site-packages/tradingbot_api/py.typed", True),
    ],
)
def test_the_application_without_what_nothing_runs(path: str, wanted: bool) -> None:
    assert rootfs.of_application(Path(path)) is wanted


def test_libraries_are_where_the_loader_says() -> None:
    assert [str(path) for path in rootfs.loaded(LDD)] == [
        "/usr/local/lib/libpython3.13.so.1.0",
        "/lib/some-triplet/libc.so.6",
        "/lib64/ld-linux.so.2",
    ]
    assert rootfs.loaded("\tstatically linked\n") == []


def test_a_library_that_is_nowhere_ends_the_build() -> None:
    with pytest.raises(rootfs.CannotCollectError, match=r"missing: libx\.so\.1"):
        rootfs.loaded("\tlibx.so.1 => not found\n")


def test_links_are_copied_with_what_they_lead_to(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "libx.so.1.2").write_text("x")
    (source / "libx.so.1").symlink_to("libx.so.1.2")
    tree = rootfs.Tree(tmp_path / "tree")
    tree.add(source / "libx.so.1")
    copy = tree.place(source)
    assert (copy / "libx.so.1").readlink() == Path("libx.so.1.2")
    assert (copy / "libx.so.1.2").stat().st_mode & 0o7777 == 0o644


def test_rights_that_a_file_gives_are_not_copied(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.touch()
    program.chmod(0o4777)
    tree = rootfs.Tree(tmp_path / "tree")
    tree.add(program)
    assert tree.place(program).stat().st_mode & 0o7777 == 0o755


def test_a_record_names_what_is_there(tmp_path: Path) -> None:
    information = tmp_path / "lib" / "x-1.dist-info"
    information.mkdir(parents=True)
    (tmp_path / "lib" / "x.py").touch()
    record = information / "RECORD"
    record.write_text('x.py,sha256=abc,0\n"x,y.pyx",sha256=def,1\nx-1.dist-info/RECORD,,\n')
    rootfs.prune_records(rootfs.Tree(tmp_path))
    assert record.read_text() == "x.py,sha256=abc,0\nx-1.dist-info/RECORD,,\n"


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("pyproject.toml", False),
        ("api/tradingbot_api/money.py", False),
        ("api/tests/test_money.py", True),
        ("hack/image/rootfs.py", False),
        ("hack/image/python-slim.Dockerfile", True),
        (".git/config", True),
        ("registry.db", True),
        ("cli/tradingbot_cli/__pycache__/main.cpython-311.pyc", True),
    ],
)
def test_a_build_sees_sources_and_no_more(path: str, ignored: bool) -> None:
    assert build_context.ignored(path, build_context.read_rules(ROOT)) is ignored


def test_a_build_sees_every_package_of_the_wheel() -> None:
    seen = {path.relative_to(ROOT).parts[0] for path in build_context.context_files(ROOT)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = set(project["tool"]["setuptools"]["packages"]["find"]["where"])
    assert packages | {"hack", "strategies"} == {name for name in seen if (ROOT / name).is_dir()}
    copied = target_of((ROOT / "Dockerfile").read_text("utf-8")).copies
    assert packages <= copied
    assert not [path for path in copied if path.startswith("strategies")]  # in the other image
    assert not {".git", ".venv", "e2e", "docs", "config"} & seen


def test_another_byte_or_mode_is_another_digest(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a")
    first = build_context.digest(tmp_path)
    file.write_text("b")
    second = build_context.digest(tmp_path)
    file.chmod(0o755)
    assert len({first, second, build_context.digest(tmp_path)}) == 3


def test_the_index_is_reached_as_on_this_machine() -> None:
    settings = package_index.pip_settings(
        "global.index-url='https://files.example/simple'\n"
        "install.timeout='9'\n"
        ":env:.index-url='https://env.example/simple'\n"
        ":env:.find-links='/opt/wheels'\n"
        "global.cert='/etc/ca.pem'\n"
    )
    assert settings["cert"] == "/etc/ca.pem"
    assert package_index.pip_conf(settings, authorities=True) == (
        "[global]\n"
        "index-url = https://env.example/simple\n"
        "timeout = 9\n"
        "cert = /run/secrets/pip-ca.pem\n"
    )


TWO_TARGETS = """\
# What follows is built.
ARG MINOR=13
FROM python:3.${MINOR}-slim AS build
COPY --chmod=644 \\
    common ./
FROM build as one
RUN --mount=type=secret,id=pip.conf \\
    # a comment
    echo "COPY this"
FROM debian:trixie-slim AS other
COPY first second ./
FROM scratch AS small
COPY --from=other / /
FROM scratch
COPY --from=one / /
"""


def test_base_images_are_those_that_the_target_needs() -> None:
    assert target_of(TWO_TARGETS).bases({}) == ["python:3.13-slim"]
    assert target_of(TWO_TARGETS).bases({"MINOR": "14"}) == ["python:3.14-slim"]
    assert target_of(TWO_TARGETS, "small").bases({}) == ["debian:trixie-slim"]
    own = (ROOT / "Dockerfile").read_text("utf-8")
    for name in (None, STRATEGIES_TARGET):
        assert target_of(own, name).bases({}) == [base_images.PYTHON]
    with pytest.raises(KeyError):
        target_of(TWO_TARGETS, "large")


def test_a_target_depends_on_its_own_files_and_lines() -> None:
    assert target_of(TWO_TARGETS).copies == {"common"}
    assert target_of(TWO_TARGETS, "small").copies == {"first", "second"}
    assert target_of(TWO_TARGETS, "one").copies == {"common"}
    changed = TWO_TARGETS.replace("first second", "first").replace("# What", "# All that")
    assert target_of(changed).text == target_of(TWO_TARGETS).text
    assert target_of(changed, "small").text != target_of(TWO_TARGETS, "small").text
    own = target_of((ROOT / "Dockerfile").read_text("utf-8"), STRATEGIES_TARGET)
    assert "build-operator" not in own.text
    assert {"strategies", "exchange/tradingbot_exchange"} <= own.copies
    assert not own.copies & {"operator", "webhooks", "registry", "cli"}


def test_a_digest_may_cover_some_paths_only(tmp_path: Path) -> None:
    for name in ("one/file", "other/file", "one-more"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    first, whole = (build_context.digest(tmp_path, only=only) for only in (("./one/",), (".",)))
    assert first != whole == build_context.digest(tmp_path)
    (tmp_path / "other/file").write_text("changed")
    (tmp_path / "one-more").write_text("changed")
    assert build_context.digest(tmp_path, only={"one"}) == first
    (tmp_path / "one/file").write_text("changed")
    assert build_context.digest(tmp_path, only={"one"}) != first


def test_the_mirror_is_the_one_of_this_machine() -> None:
    listing = "Debian-Security http://security.example/\nDebian http://mirror.example/debian/\n"
    assert base_images.debian_mirror(listing) == "http://mirror.example/debian/"
    assert base_images.debian_mirror("Ubuntu http://mirror.example/ubuntu\n") is None
    named = {base_images.MIRROR_VARIABLE: "http://named.example"}
    assert base_images.mirror(named) == "http://named.example"


def test_what_is_missing_is_one_line_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(buildah, "PATH", "/nowhere")
    with pytest.raises(ToolMissingError, match=r"apt-get install debootstrap buildah$"):
        buildah.demand_tools("debootstrap", "buildah")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ToolMissingError, match=r"needs root: try again with sudo$"):
        buildah.demand_tools("buildah")


def test_there_is_no_stand_in_for_just_any_image() -> None:
    with pytest.raises(ToolMissingError, match=r"the base image alpine:3\S* has no substitute"):
        base_images.base_image("alpine:3")
