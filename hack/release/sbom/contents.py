"""The package lists that an unpacked image contains, and which package each of its files is of."""

import csv
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import cached_property
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from release.errors import ReleaseError
from release.versions import PROJECT

PYTHON = "python"
_STATUS = Path("var/lib/dpkg/status.d")
_COMPILED = re.compile(r"(?:__pycache__/)?([^/]+?)(?:\.cpython-\d+(?:\.opt-\d)?)?\.pyc$")


@dataclass(frozen=True)
class Distribution:
    """An installed Python package, as its .dist-info directory describes it."""

    name: str
    version: str
    licence: str | None
    """What the package states: an SPDX expression, or text of any form."""
    files: frozenset[str]
    """What RECORD lists, relative to the root of the image."""


@dataclass(frozen=True)
class NpmPackage:
    """A package of npm of which the product has files, as the `package.json` beside them says."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True)
class DebianPackage:
    """A package of which files came along, as dpkg describes it."""

    name: str
    version: str
    architecture: str
    maintainer: str
    files: frozenset[str]


@dataclass(frozen=True)
class Contents:
    """The packages of an image, or of a virtual environment, that lies unpacked at `root`."""

    root: Path
    site: Path
    python_version: str
    distributions: tuple[Distribution, ...]
    npm: tuple[NpmPackage, ...]
    debian: tuple[DebianPackage, ...]
    debian_release: str | None

    @property
    def architecture(self) -> str | None:
        """Debian's name of the architecture, or None where there are no Debian packages."""
        return next((one.architecture for one in self.debian if one.architecture != "all"), None)

    def files(self) -> Iterator[str]:
        """Yield the regular files, relative to the root."""
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                if not path.is_symlink():
                    yield path.relative_to(self.root).as_posix()

    def python_files(self) -> Iterator[str]:
        """Yield the files of Python packages: all of site-packages."""
        prefix = f"{self.site.relative_to(self.root).as_posix()}/"
        return (file for file in self.files() if file.startswith(prefix))

    def owner(self, file: str) -> str | None:
        """Return the package of a file, or None."""
        return self._python_owner(file) or self._debian_owners.get(file) or self._of_python(file)

    def _python_owner(self, file: str) -> str | None:
        owners = self._recorded
        if file in owners:
            return owners[file]
        compiled = _COMPILED.search(file)
        if compiled is None:
            return None
        source = f"{file[: compiled.start()]}{compiled[1]}.py"
        return owners.get(source) or self._of_directory(PurePosixPath(file).parent)

    def _of_directory(self, folder: PurePosixPath) -> str | None:
        """Return the only package with files in the nearest directory that has recorded files.

        Of a generated package the image has the compiled files without their sources, so RECORD
        lists neither.
        """
        site = self.site.relative_to(self.root).as_posix()
        while folder.as_posix().startswith(f"{site}/"):
            owners = self._directories.get(folder.as_posix())
            if owners:
                return next(iter(owners)) if len(owners) == 1 else None
            folder = folder.parent
        return None

    def _of_python(self, file: str) -> str | None:
        """Python has no package: its files are those of its prefix, site-packages excepted."""
        library = re.match(r"usr/local/(?:bin/python|lib/(?:python|libpython))", file)
        environment = self.site.parents[2].relative_to(self.root)
        made_by_venv = file in {str(environment / name) for name in ("pyvenv.cfg", ".gitignore")}
        return PYTHON if library or made_by_venv else None

    @cached_property
    def _recorded(self) -> Mapping[str, str]:
        return {file: one.name for one in self.distributions for file in one.files}

    @cached_property
    def _directories(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for one in self.distributions:
            for file in one.files:
                found[PurePosixPath(file).parent.as_posix()].add(one.name)
        return found

    @cached_property
    def _debian_owners(self) -> Mapping[str, str]:
        return {file: one.name for one in self.debian for file in one.files}


def read_contents(root: Path) -> Contents:
    """Read the package lists below `root`. Raises ReleaseError where there is no Python."""
    sites = sorted(
        {*root.glob("opt/*/lib/python*/site-packages"), *root.glob("lib/python*/site-packages")}
    )
    if len(sites) != 1:
        raise ReleaseError(f"{root} has {len(sites)} directories of Python packages, and not one")
    (site,) = sites
    configuration = (site.parents[2] / "pyvenv.cfg").read_text("utf-8")
    version = re.search(r"^version(?:_info)? = (\d+\.\d+\.\d+)", configuration, re.MULTILINE)
    if version is None:
        raise ReleaseError(f"{site.parents[2] / 'pyvenv.cfg'} states no version of Python")
    status = root / _STATUS
    packages = [path for path in sorted(status.glob("*")) if path.suffix != ".md5sums"]
    distributions = tuple(_distribution(path, root) for path in sorted(site.glob("*.dist-info")))
    return Contents(
        root=root,
        site=site,
        python_version=version[1],
        distributions=distributions,
        npm=tuple(
            _npm_package(root / file)
            for one in distributions
            if one.name == PROJECT
            for file in sorted(one.files)
            if PurePosixPath(file).name == "package.json"
        ),
        debian=tuple(_debian_package(path, root) for path in packages),
        debian_release=_debian_release(root),
    )


def _distribution(information: Path, root: Path) -> Distribution:
    metadata = HeaderParser().parsestr((information / "METADATA").read_text("utf-8"))
    rows = csv.reader((information / "RECORD").read_text("utf-8").splitlines())
    site = information.parent.relative_to(root)
    return Distribution(
        name=canonicalize_name(metadata["Name"]),
        version=metadata["Version"],
        licence=metadata["License-Expression"] or metadata["License"],
        files=frozenset(os.path.normpath(site / row[0]) for row in rows),
    )


def _npm_package(file: Path) -> NpmPackage:
    stated = json.loads(file.read_text("utf-8"))
    return NpmPackage(stated["name"], stated["version"], stated["license"])


def _debian_package(status: Path, root: Path) -> DebianPackage:
    fields = HeaderParser().parsestr(status.read_text("utf-8"))
    sums = status.with_name(f"{status.name}.md5sums").read_text("utf-8").splitlines()
    listed = {line.split(maxsplit=1)[1] for line in sums}
    # Some packages list their files in /lib, which is a link to /usr/lib.
    listed |= {f"usr/{file}" for file in listed if (root / "usr" / file).is_file()}
    return DebianPackage(
        name=fields["Package"],
        version=fields["Version"],
        architecture=fields["Architecture"],
        maintainer=fields["Maintainer"],
        files=frozenset({*listed, f"usr/share/doc/{status.name}/copyright"}),
    )


def _debian_release(root: Path) -> str | None:
    # /etc/os-release is a link to the first one, which not every way to unpack an image keeps.
    for path in (root / "usr/lib/os-release", root / "etc/os-release"):
        if path.is_file():
            found = re.search(r'^VERSION_ID="?([^"\n]+)"?$', path.read_text("utf-8"), re.MULTILINE)
            return found[1] if found else None
    return None
