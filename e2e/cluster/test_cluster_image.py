"""Both images: what is in them and what is not, and that they run confined."""

import re
import stat
import tomllib

import pytest
import yaml
from tradingbot_node.images.build import ROOT
from unpacked_image import GENERATED, USER, Image, Unpacked

pytestmark = pytest.mark.cluster

PROGRAMS = {"tradingbot-operator": "tradingbot", "tradingbot-strategies": "tradingbot-strategies"}
# The strategies' image has the exchange's engine, and not what its server needs.
PACKAGES = {"tradingbot-operator": "tradingbot_*", "tradingbot-strategies": "tradingbot_strategies"}
MEGABYTES = {"tradingbot-operator": 170, "tradingbot-strategies": 250}


@pytest.fixture(scope="module", params=PROGRAMS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def image(name: str, unpacked: Unpacked) -> Image:
    return unpacked(name)


def test_no_shell_no_package_installer_no_compiler(image: Image, name: str) -> None:
    wanted = {"python", "python3", "python3.13", PROGRAMS[name]}
    programs = {path.name for path in image.files if path.parent.name in {"bin", "sbin"}}
    assert programs == wanted
    modes = {path: (image.root / path).lstat().st_mode for path in image.files}
    executable = {
        path.name
        for path, mode in modes.items()
        if stat.S_ISREG(mode) and mode & stat.S_IXUSR and ".so" not in path.name
    }
    assert executable <= wanted
    modules = {path.name for path in image.files if path.parent.name == "site-packages"}
    library = {path.name for path in image.files if path.parent.name == "python3.13"}
    assert not {"pip", "setuptools", "wheel"} & modules
    assert not {"ensurepip", "venv", "test", "idlelib", "tkinter"} & library


def test_nothing_in_it_gives_rights_or_can_be_changed(image: Image) -> None:
    for path in image.files:
        status = (image.root / path).lstat()
        assert stat.S_IFMT(status.st_mode) in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}, path
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID), path
        if str(path) == "tmp":
            assert stat.S_IMODE(status.st_mode) == 0o1777
        elif str(path) == "var/lib/tradingbot":
            assert (status.st_uid, status.st_gid) == (USER, USER)
        else:
            assert (status.st_uid, status.st_gid) == (0, 0), path
            assert path.is_symlink() or stat.S_ISLNK(status.st_mode) or not status.st_mode & 0o022


def test_its_user_is_a_number_and_known(image: Image) -> None:
    assert image.config["User"] == f"{USER}:{USER}"
    assert f"nonroot:x:{USER}:{USER}:" in (image.root / "etc/passwd").read_text()


def test_its_labels_say_what_it_is(image: Image, name: str) -> None:
    directory = ROOT / "strategies" if name == "tradingbot-strategies" else ROOT
    project = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
    release = yaml.safe_load((ROOT / "config/release/kustomization.yaml").read_text())
    prefix = "org.opencontainers.image."
    labels = {
        label.removeprefix(prefix): text
        for label, text in image.config["Labels"].items()
        if label.startswith(prefix)
    }
    assert labels["title"] == project["name"] == name
    assert labels["licenses"] == project["license"]
    assert labels["version"] == project["version"] == str(release["images"][0]["newTag"])
    assert labels.keys() == {"title", "description", "licenses", "version", "revision", "created"}


def test_labels_of_a_release_come_from_build_arguments() -> None:
    arguments = {"VERSION": "9.9.9", "REVISION": "abc", "CREATED": "2030-01-01T00:00:00Z"}
    text = (ROOT / "Dockerfile").read_text()
    for argument in arguments:
        label = f'org.opencontainers.image.{argument.lower()}="${{{argument}}}"'
        assert f"ARG {argument}=" in text
        assert label in text


def test_it_is_small(image: Image, name: str) -> None:
    total = sum(
        (image.root / path).stat().st_size
        for path in image.files
        if (image.root / path).is_file() and not (image.root / path).is_symlink()
    )
    assert total < MEGABYTES[name] * 1_000_000


def test_what_built_it_is_not_in_it(image: Image) -> None:
    names = {str(path) for path in image.files}
    assert not any(path.startswith(("run", "root", "src", "rootfs")) for path in names)
    assert "etc/pip.conf" not in names
    assert not any("/tests/" in path and "tradingbot_" in path for path in names)


def test_its_program_runs_with_a_root_that_cannot_be_written(image: Image, name: str) -> None:
    done = image.entrypoint("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: {PROGRAMS[name]}" in done.stdout


def test_all_of_its_modules_can_be_imported(image: Image, name: str) -> None:
    """The project's, and those compiled modules of Python that came along."""
    image.python(
        "import importlib, pathlib, pkgutil, sysconfig\n"
        "site = pathlib.Path(sysconfig.get_path('purelib'))\n"
        f"for part in sorted(site.glob({PACKAGES[name]!r})):\n"
        "    if part.is_dir() and part.suffix != '.dist-info':\n"
        "        for module in pkgutil.walk_packages([str(part)], part.name + '.'):\n"
        "            if not module.name.endswith('__main__'):\n"
        "                importlib.import_module(module.name)\n"
        "for path in pathlib.Path(sysconfig.get_path('stdlib'), 'lib-dynload').glob('*.so'):\n"
        "    importlib.import_module(path.name.partition('.')[0])\n"
    )


def test_its_root_cannot_be_written_in_these_tests(image: Image) -> None:
    printed = image.python(
        "import os; print(os.getuid(), os.getgid(), os.getgroups())\n"
        "print([bool(os.statvfs(path).f_flag & os.ST_RDONLY) for path in ('/', '/tmp')])"
    )
    assert printed == f"{USER} {USER} []\n[True, False]\n"


def test_it_has_time_zones_authorities_and_names(image: Image) -> None:
    printed = image.python(
        "import ssl, zoneinfo, pwd, socket\n"
        "print(zoneinfo.ZoneInfo('America/New_York').key, len(zoneinfo.available_timezones()))\n"
        "print(len(ssl.create_default_context().get_ca_certs()))\n"
        f"print(pwd.getpwuid({USER}).pw_name, socket.getaddrinfo('127.0.0.1', 80)[0][4][1])\n"
    )
    zones, authorities, names = printed.splitlines()
    assert zones.startswith("America/New_York ")
    assert int(zones.split()[1]) > 400
    assert int(authorities) > 100
    assert names == "nonroot 80"


def test_it_never_compiles_what_it_starts(image: Image, name: str) -> None:
    """Python would compile in memory, at each start, what has no compiled file that it takes."""
    modules = {
        "tradingbot-operator": "tradingbot_operator, kopf, kubernetes",
        "tradingbot-strategies": "tradingbot_strategies.run_command, ccxt",
    }
    done = image.run("/opt/tradingbot/bin/python", "-v", "-c", f"import {modules[name]}")
    assert done.returncode == 0
    assert "# code object from" not in re.sub(r"# code object from '\S+\.pyc'", "", done.stderr)


def test_a_scanner_sees_where_each_file_comes_from(image: Image) -> None:
    """Each is Python's, of a Python package, of a Debian package, or one of the few made here."""
    status = image.root / "var/lib/dpkg/status.d"
    owned = {
        line.split(maxsplit=1)[1]
        for sums in status.glob("*.md5sums")
        for line in sums.read_text().splitlines()
    }
    for path in image.files:
        text = str(path)
        of_python = text.startswith(("usr/local/", "opt/tradingbot/", "var/lib/dpkg/status.d/"))
        real = (image.root / path).is_file() and not (image.root / path).is_symlink()
        if real and not of_python and not text.endswith("/copyright"):
            assert text in GENERATED or {text, text.removeprefix("usr/")} & owned, text


@pytest.mark.parametrize("path", ["Dockerfile", "hack/image/rootfs.py"])
def test_nothing_depends_on_one_architecture(path: str) -> None:
    text = (ROOT / path).read_text().lower()
    assert not re.search(r"amd64|x86[_-]64|arm64|aarch64|linux-gnu", text)
