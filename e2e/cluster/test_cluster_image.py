"""The image: what is in it and what is not, that it runs confined, and is the same each time."""

import re
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from release.sbom.contents import read_contents
from release.sbom.write import image_bill, unpacked
from tradingbot_cli.main import COMMANDS
from tradingbot_dev.progress import Progress
from tradingbot_node.images.base_images import PYTHON, base_image
from tradingbot_node.images.build import ROOT, build_archive, build_image
from tradingbot_node.images.buildah import image_config, image_id, unpack

pytestmark = pytest.mark.cluster

TAG = f"tradingbot-operator:{version('tradingbot-operator')}"
USER = 65532
PROGRAMS = {"python", "python3", "python3.13", "tradingbot"}
# Made when the image is built, so that no package has them.
GENERATED = {
    *("etc/group", "etc/passwd", "etc/nsswitch.conf"),
    *("etc/ld.so.cache", "etc/ld.so.conf", "etc/ssl/certs/ca-certificates.crt"),
}
# A root that can't be written, /tmp as Kubernetes mounts it, and what every runtime provides. The
# mounts are gone when the command ends.
CONFINE = """
set -e
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
exec chroot --userspec="$user" --groups= "$root" "$@"
"""


@dataclass(frozen=True)
class Image:
    """The image unpacked, and its configuration."""

    root: Path
    config: dict[str, Any]
    archive: Path

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command in it: as its user, with its environment, with no way to write to it."""
        environment = dict(line.split("=", 1) for line in self.config["Env"])
        confined = ["sh", "-c", CONFINE, "sh", str(self.root), self.config["User"], *command]
        return subprocess.run(
            ["unshare", "--mount", "--propagation=private", *confined],
            input=stdin,
            env={"HOME": "/tmp"} | environment | {"PATH": f"{environment['PATH']}:/usr/sbin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    def tradingbot(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.run(*self.config["Entrypoint"], *arguments, stdin=stdin)

    def python(self, code: str) -> str:
        done = self.run("/opt/tradingbot/bin/python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def files(self) -> Iterator[Path]:
        """All that is in it, directories too, relative to its root."""
        return (path.relative_to(self.root) for path in sorted(self.root.rglob("*")))

    def packages(self) -> set[str]:
        status = self.root / "var/lib/dpkg/status.d"
        return {path.name for path in status.iterdir() if path.suffix != ".md5sums"}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    archive = build_image(TAG)
    root = tmp_path_factory.mktemp("image") / "root"
    unpack(archive, root)
    config = image_config(archive)["config"]
    assert isinstance(config, dict)
    return Image(root, config, archive)


@pytest.fixture(scope="module")
def confined(image: Image) -> Image:
    """The image with the directories that a runtime makes and mounts on."""
    for name in ("dev", "proc"):
        (image.root / name).mkdir(exist_ok=True)
    return image


def test_the_same_sources_give_the_same_image(image: Image, tmp_path: Path) -> None:
    again = tmp_path / "again.tar"
    build_archive(
        again,
        TAG,
        context=ROOT,
        dockerfile=ROOT / "Dockerfile",
        build_args={},
        bases=[base_image(PYTHON)],
        progress=Progress(),
    )
    assert image_id(again) == image_id(image.archive)
    assert again.read_bytes() == image.archive.read_bytes()


def test_no_shell_no_package_installer_no_compiler(image: Image) -> None:
    programs = {path.name for path in image.files() if path.parent.name in {"bin", "sbin"}}
    assert programs == PROGRAMS
    modes = {path: (image.root / path).lstat().st_mode for path in image.files()}
    executable = {
        path.name
        for path, mode in modes.items()
        if stat.S_ISREG(mode) and mode & stat.S_IXUSR and ".so" not in path.name
    }
    assert executable <= PROGRAMS
    modules = {path.name for path in image.files() if path.parent.name == "site-packages"}
    library = {path.name for path in image.files() if path.parent.name == "python3.13"}
    assert not {"pip", "setuptools", "wheel"} & modules
    assert not {"ensurepip", "venv", "test", "idlelib", "tkinter"} & library


def test_nothing_in_it_gives_rights_or_can_be_changed(image: Image) -> None:
    for path in image.files():
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


def test_its_labels_say_what_it_is(image: Image) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    release = yaml.safe_load((ROOT / "config/release/kustomization.yaml").read_text())
    prefix = "org.opencontainers.image."
    labels = {
        name.removeprefix(prefix): text
        for name, text in image.config["Labels"].items()
        if name.startswith(prefix)
    }
    assert labels["title"] == project["name"]
    assert labels["licenses"] == project["license"]
    assert labels["version"] == project["version"] == str(release["images"][0]["newTag"])
    assert labels.keys() == {"title", "description", "licenses", "version", "revision", "created"}


def test_labels_of_a_release_come_from_build_arguments() -> None:
    arguments = {"VERSION": "9.9.9", "REVISION": "abc", "CREATED": "2030-01-01T00:00:00Z"}
    text = (ROOT / "Dockerfile").read_text()
    for name in arguments:
        label = f'org.opencontainers.image.{name.lower()}="${{{name}}}"'
        assert f"ARG {name}=" in text
        assert label in text


def test_it_is_small(image: Image) -> None:
    total = sum(
        (image.root / path).stat().st_size
        for path in image.files()
        if (image.root / path).is_file() and not (image.root / path).is_symlink()
    )
    assert total < 150_000_000


def test_what_built_it_is_not_in_it(image: Image) -> None:
    names = {str(path) for path in image.files()}
    assert not any(name.startswith(("run", "root", "src", "rootfs")) for name in names)
    assert "etc/pip.conf" not in names
    assert not any("/tests/" in name and "tradingbot_" in name for name in names)


@pytest.mark.parametrize("mode", COMMANDS)
def test_every_mode_runs_with_a_root_that_cannot_be_written(confined: Image, mode: str) -> None:
    done = confined.tradingbot(mode, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert mode in done.stdout


def test_all_of_its_modules_can_be_imported(confined: Image) -> None:
    """The product's, and those compiled modules of Python that came along."""
    confined.python(
        "import importlib, pathlib, pkgutil, sysconfig\n"
        "site = pathlib.Path(sysconfig.get_path('purelib'))\n"
        "for part in sorted(site.glob('tradingbot_*')):\n"
        "    if part.is_dir() and part.suffix != '.dist-info':\n"
        "        for module in pkgutil.walk_packages([str(part)], part.name + '.'):\n"
        "            if not module.name.endswith('__main__'):\n"
        "                importlib.import_module(module.name)\n"
        "for path in pathlib.Path(sysconfig.get_path('stdlib'), 'lib-dynload').glob('*.so'):\n"
        "    importlib.import_module(path.name.partition('.')[0])\n"
    )


def test_its_root_cannot_be_written_in_these_tests(confined: Image) -> None:
    printed = confined.python(
        "import os; print(os.getuid(), os.getgid(), os.getgroups())\n"
        "print([bool(os.statvfs(path).f_flag & os.ST_RDONLY) for path in ('/', '/tmp')])"
    )
    assert printed == f"{USER} {USER} []\n[True, False]\n"


def test_it_checks_manifests(confined: Image) -> None:
    def validated(sample: str) -> tuple[int, str]:
        text = (ROOT / "config/samples" / sample).read_text()
        done = confined.tradingbot("validate", "-f", "-", stdin=text)
        return done.returncode, done.stdout + done.stderr

    for sample in ("tradingbot.yaml", "tradingbot-full.yaml", "assetregistry.yaml"):
        code, said = validated(sample)
        assert code == 0, said
    code, said = validated("invalid.yaml")
    assert code == 1
    assert "stopLossPercentage" in said


def test_it_has_time_zones_authorities_and_names(confined: Image) -> None:
    printed = confined.python(
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


def test_it_never_compiles_what_it_starts(confined: Image) -> None:
    """Python would compile in memory, at each start, what has no compiled file that it takes."""
    done = confined.run(
        *("/opt/tradingbot/bin/python", "-v", "-c", "import tradingbot_operator, kopf, kubernetes")
    )
    assert done.returncode == 0
    assert "# code object from" not in re.sub(r"# code object from '\S+\.pyc'", "", done.stderr)


def test_a_copy_of_the_registrys_database_comes_out_of_it(confined: Image) -> None:
    """With no shell and no cat, as docs/image.md shows it, also what SQLite has in its log yet."""
    page = (ROOT / "docs/image.md").read_text()
    (documented,) = re.findall(r"-- python -c\s.*?'(.*?)'", page, re.DOTALL)
    code = documented.replace("/var/lib/tradingbot/", "/tmp/")
    printed = confined.python(
        "import sqlite3, subprocess\n"
        "writer = sqlite3.connect('/tmp/registry.db')\n"
        "writer.execute('PRAGMA journal_mode=WAL')\n"
        "writer.execute('CREATE TABLE assets (name TEXT)')\n"
        "writer.execute('INSERT INTO assets VALUES (?)', ('binance',))\n"
        "writer.commit()\n"
        f"command = ['python', '-c', {code!r}]\n"
        "copy = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout\n"
        "open('/tmp/copy.db', 'wb').write(copy)\n"
        "print(sqlite3.connect('/tmp/copy.db').execute('SELECT name FROM assets').fetchall())\n"
    )
    assert printed == "[('binance',)]\n"


def test_a_scanner_sees_where_each_file_comes_from(image: Image) -> None:
    """Each is Python's, of a Python package, of a Debian package, or one of the few made here."""
    status = image.root / "var/lib/dpkg/status.d"
    owned = {
        line.split(maxsplit=1)[1]
        for sums in status.glob("*.md5sums")
        for line in sums.read_text().splitlines()
    }
    for path in image.files():
        text = str(path)
        of_python = text.startswith(("usr/local/", "opt/tradingbot/", "var/lib/dpkg/status.d/"))
        real = (image.root / path).is_file() and not (image.root / path).is_symlink()
        if real and not of_python and not text.endswith("/copyright"):
            assert text in GENERATED or {text, text.removeprefix("usr/")} & owned, text


def test_every_file_belongs_to_a_component_of_the_sbom(image: Image) -> None:
    bill = image_bill(ROOT, image.root, created=datetime(2026, 1, 1, tzinfo=UTC))
    listed = {component.name for component in bill.components}
    contents = read_contents(image.root)
    assert len(list(contents.python_files())) > 1000
    unlisted = [
        file
        for file in contents.files()
        if contents.owner(file) not in listed
        and file not in GENERATED
        and not file.startswith(("var/lib/dpkg/status.d/", "usr/share/doc/"))
        and file != "etc/os-release"
    ]
    assert unlisted == []


def test_the_sbom_of_the_archive_is_that_of_the_image(image: Image) -> None:
    """`make sbom` unpacks the archive without root and without links."""
    created = datetime(2026, 1, 1, tzinfo=UTC)
    bill = image_bill(ROOT, image.root, created=created)
    with unpacked(image.archive) as root:
        assert image_bill(ROOT, root, created=created) == bill
    assert {"python", "libc6", "tradingbot-operator", "cryptography"} <= {
        component.name for component in bill.components
    }


def test_the_documentation_lists_every_package(image: Image) -> None:
    page = (ROOT / "docs/image.md").read_text()
    listed = set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    site = next(image.root.glob("opt/tradingbot/lib/python*/site-packages"))
    python = {
        re.sub(r"[-_.]+", "-", folder.name.split("-")[0]).lower()
        for folder in site.glob("*.dist-info")
    }
    assert listed == image.packages() | python | {"python"}


@pytest.mark.parametrize("name", ["Dockerfile", "hack/image/rootfs.py"])
def test_nothing_depends_on_one_architecture(name: str) -> None:
    text = (ROOT / name).read_text().lower()
    assert not re.search(r"amd64|x86[_-]64|arm64|aarch64|linux-gnu", text)
