"""Collect the files of the image, in the build stage of the Dockerfile.

    python rootfs.py APPLICATION TARGET

APPLICATION is the virtual environment with the product. The result is `TARGET/runtime` (Python,
shared libraries, certificates, accounts, package lists for scanners) and `TARGET/application`. Both
are trees to copy to `/`. They have no shell, no package installer and nothing else that a base
image would add.

The same input gives the same bytes: times are those of SOURCE_DATE_EPOCH, modes are one of three,
and files are compiled in a fixed order. Nothing depends on the architecture: the dynamic loader
reports the paths of libraries.

Standard library only. This runs on the Python that it copies.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

USER = 65532
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
OS_RELEASE = Path("/etc/os-release")
# Loaded by name when a thread ends early: no executable and no library links to it.
LOADED_AT_RUN_TIME = ("libgcc_s.so.1",)
# Files that no package lists, and the package that generates them.
GENERATED = {CA_BUNDLE: "ca-certificates"}

# Parts of the standard library that install, teach or test, or need a desktop.
_LIBRARY_LEFT_OUT = (
    *("ensurepip", "venv", "site-packages", "config-*"),
    *("idlelib", "macholib", "tkinter", "turtle.py", "turtledemo", "pydoc_data"),
    *("test", "tests", "__pycache__"),
)
# Compiled modules for tests, and those that need libraries which nothing here uses.
_MODULES_LEFT_OUT = (
    *("_test*", "_ctypes_test", "xx*", "_xx*"),
    *("_curses*", "_dbm", "_gdbm", "_tkinter", "nis", "readline"),
)
# Parts of the application: headers and sources of compiled modules, tests, a second client of the
# Kubernetes API that nothing imports, and files for developers of Swagger UI.
_APPLICATION_LEFT_OUT = (
    *("include", "share", "*/__pycache__", "*.pyc", "*/site-packages/*/tests"),
    *("*.c", "*.h", "*.pxd", "*.pxi", "*.pyx"),
    "*/kubernetes/aio",
)
_COMMANDS = ("python*", "tradingbot", "tradingbot-strategies")
# A thousand generated files. With their sources they would be a third of the image.
_COMPILED_ONLY = "site-packages/kubernetes/client"

_ACCOUNTS = {
    "etc/passwd": f"root:x:0:0:root:/root:/sbin/nologin\n"
    f"nonroot:x:{USER}:{USER}:nonroot:/tmp:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nnonroot:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class CannotCollectError(RuntimeError):
    """Raised with one line when something is missing on this machine."""


def of_library(path: Path) -> bool:
    """Return whether the image has this path, relative to the standard library."""
    if any(fnmatch(part, pattern) for part in path.parts for pattern in _LIBRARY_LEFT_OUT):
        return False
    module = path.name.partition(".")[0]
    compiled = path.suffix == ".so"
    return not (compiled and any(fnmatch(module, pattern) for pattern in _MODULES_LEFT_OUT))


def of_application(path: Path) -> bool:
    """Return whether the image has this path, relative to the virtual environment."""
    if path.parts[0] == "bin" and len(path.parts) > 1:
        return any(fnmatch(path.name, pattern) for pattern in _COMMANDS)
    return not any(fnmatch(str(path), pattern) for pattern in _APPLICATION_LEFT_OUT)


def loaded(ldd: str) -> list[Path]:
    """Return the paths in the output of `ldd`. Raises CannotCollectError for a missing library."""
    missing = re.findall(r"^\s*(\S+) => not found", ldd, re.MULTILINE)
    if missing:
        raise CannotCollectError(f"a shared library is missing: {', '.join(missing)}")
    return [Path(path) for path in re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", ldd, re.MULTILINE)]


@dataclass(frozen=True)
class Tree:
    """Copies of this machine's files below another root, at the same paths."""

    root: Path

    def add(self, path: Path) -> None:
        """Copy a file, or a link together with its target."""
        path = path.parent.resolve() / path.name
        copy = self.place(path)
        if os.path.lexists(copy):
            return
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            copy.symlink_to(path.readlink())
            self.add(path.parent / path.readlink())
        else:
            shutil.copyfile(path, copy)
            # Executable modules are run by Python, so they need no such mode.
            program = os.access(path, os.X_OK) and path.suffix != ".py"
            copy.chmod(0o755 if program else 0o644)

    def add_directory(self, directory: Path, wanted: Callable[[Path], bool]) -> None:
        """Copy the wanted files of a directory. Links are copied as links."""
        for path in sorted(directory.iterdir()):
            self._add_wanted(path, directory, wanted)

    def write(self, path: str, text: str) -> None:
        copy = self.root / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
        copy.chmod(0o644)

    def place(self, path: Path) -> Path:
        return self.root / path.relative_to("/")

    def files(self) -> Iterator[Path]:
        """Yield the paths in the image of all files that are not links."""
        for directory, _, names in os.walk(self.root):
            for name in sorted(names):
                path = Path(directory, name)
                if not path.is_symlink():
                    yield Path("/") / path.relative_to(self.root)

    def _add_wanted(self, path: Path, base: Path, wanted: Callable[[Path], bool]) -> None:
        if not wanted(path.relative_to(base)):
            return
        if path.is_dir() and not path.is_symlink():
            for inner in sorted(path.iterdir()):
                self._add_wanted(inner, base, wanted)
        elif path.is_symlink():
            copy = self.place(path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(path.readlink())
        else:
            self.add(path)


def add_python(tree: Tree) -> None:
    """Add the interpreter under all of its names, and its library."""
    executable = Path(sys.executable).resolve()
    for path in sorted(executable.parent.glob("python*")):
        if path.resolve() == executable:
            tree.add(path)
    for name in ("stdlib", "platstdlib"):
        tree.add_directory(Path(sysconfig.get_path(name)), of_library)


def add_libraries(tree: Tree, *users: Tree) -> None:
    """Add the libraries of every executable and module in the trees, and the loader's cache."""
    names = [path for user in users for path in user.files() if _is_elf(user.place(path))]
    found = {library for path in names for library in loaded(_ldd(path))}
    cached = _output("ldconfig", "--print-cache")
    for name in LOADED_AT_RUN_TIME:
        lines = [line for line in cached.splitlines() if line.split()[:1] == [name]]
        if not lines:
            raise CannotCollectError(f"{name} is missing")
        found.add(Path(lines[0].split(" => ")[1]))
    for library in sorted(found):
        if not any(os.path.lexists(user.place(_resolved(library))) for user in users):
            tree.add(library)
    for link in sorted(Path("/").glob("lib*")):
        if link.is_symlink() and (tree.root / link.readlink()).is_dir():
            tree.place(link).symlink_to(link.readlink())
    directories = {str(_resolved(library).parent) for library in found}
    tree.write("etc/ld.so.conf", "".join(f"{directory}\n" for directory in sorted(directories)))
    _output("ldconfig", "-X", "-i", "-r", str(tree.root))
    shutil.rmtree(tree.root / "var" / "cache", ignore_errors=True)


def add_packages(tree: Tree) -> None:
    """Add the list of Debian packages, in the place where scanners of such images read it.

    Each package has a file in `var/lib/dpkg/status.d`, and one with the checksums of its files that
    the image has. Each package's licence is added too.
    """
    # Python is not a Debian package, and files in /etc are generated.
    others = (Path(sys.base_prefix), Path("/etc"))
    files = [path for path in tree.files() if not any(map(path.is_relative_to, others))]
    for package in sorted(_owners(files) | set(GENERATED.values())):
        name = package.partition(":")[0]
        tree.write(f"var/lib/dpkg/status.d/{name}", _output("dpkg-query", "--status", package))
        licence = Path("/usr/share/doc", name, "copyright")
        if licence.exists():
            tree.write(str(licence.relative_to("/")), licence.read_text(errors="replace"))
        sums = [
            line
            for line in _output("dpkg-query", "--control-show", package, "md5sums").splitlines()
            if (tree.root / line.split(maxsplit=1)[1]).is_file()
        ]
        tree.write(f"var/lib/dpkg/status.d/{name}.md5sums", "".join(f"{line}\n" for line in sums))


def add_rest(tree: Tree) -> None:
    """Add CA certificates, the accounts, and the mount points of volumes."""
    for path in (CA_BUNDLE, OS_RELEASE):
        if not path.exists():
            raise CannotCollectError(f"{path} is missing")
        tree.add(path)
    for name, text in _ACCOUNTS.items():
        tree.write(name, text)
    temporary = tree.root / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    data = tree.root / "var" / "lib" / "tradingbot"
    data.mkdir(parents=True)
    os.chown(data, USER, USER)


def prune_records(tree: Tree) -> None:
    """Remove from each RECORD, the list of a package's files, the files that were left out."""
    for record in sorted(tree.root.rglob("*.dist-info/RECORD")):
        site = record.parent.parent
        rows = list(csv.reader(record.read_text().splitlines()))
        there = [row for row in rows if os.path.lexists(site / row[0])]
        with record.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(there)


def compile_all(tree: Tree, directory: Path) -> None:
    """Compile in advance: the image is read-only, so no start could keep what it compiles.

    Compiled files are never compared with their sources, so times do not matter. One process
    compiles everything, since earlier work of a process changes the bytes that it writes.
    """
    for generated in sorted(tree.place(directory).glob(f"**/{_COMPILED_ONLY}")):
        _compile(tree, generated, "-b", "-o", "2")  # beside the source, without docstrings
        for source in generated.rglob("*.py"):
            source.unlink()
    _compile(tree, tree.place(directory))


def normalize(root: Path, epoch: int) -> None:
    """Set the time of everything and the mode of directories, deepest first."""
    for directory, directories, names in os.walk(root, topdown=False):
        for name in (*directories, *names):
            path = Path(directory, name)
            if path.is_dir() and not path.is_symlink() and path != root / "tmp":
                path.chmod(0o755)
            os.utime(path, (epoch, epoch), follow_symlinks=False)
    root.chmod(0o755)
    os.utime(root, (epoch, epoch))


def main(arguments: list[str]) -> None:
    application, target = (Path(argument) for argument in arguments)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    product, runtime = Tree(target / "application"), Tree(target / "runtime")
    product.add_directory(application, of_application)
    add_python(runtime)
    add_libraries(runtime, runtime, product)
    add_rest(runtime)
    add_packages(runtime)
    compile_all(runtime, Path(sysconfig.get_path("stdlib")))
    compile_all(product, application)
    prune_records(product)
    for tree in (runtime, product):
        normalize(tree.root, epoch)
        print(f"{tree.root.name}: {_size(tree):.1f} MB")


def _compile(tree: Tree, directory: Path, *options: str) -> None:
    common = ["-q", "-f", "-s", str(tree.root), "-p", "/", "--invalidation-mode=unchecked-hash"]
    subprocess.run(
        [sys.executable, "-P", "-m", "compileall", *common, *options, str(directory)],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        check=True,
    )


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _ldd(path: Path) -> str:
    done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
    if done.returncode != 0 and "not a dynamic executable" not in done.stderr:
        raise CannotCollectError(f"ldd {path}: {done.stderr.strip()}")
    return done.stdout


def _owners(paths: list[Path]) -> set[str]:
    """Return the packages of these files.

    Where `/lib` is a link to `/usr/lib`, some packages list the short path.
    """
    short = [Path("/", path.relative_to("/usr")) for path in paths if path.is_relative_to("/usr")]
    done = subprocess.run(
        ["dpkg-query", "--search", *map(str, paths + short)],
        capture_output=True,
        text=True,
        check=False,  # 1 if a file has no package, as some have none
    )
    found = [line.rpartition(": ")[0] for line in done.stdout.splitlines()]
    return {package for line in found for package in line.split(", ")}


def _resolved(path: Path) -> Path:
    return path.parent.resolve() / path.name


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotCollectError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _size(tree: Tree) -> float:
    return sum(tree.place(path).stat().st_size for path in tree.files()) / 1e6


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CannotCollectError as error:
        sys.exit(f"error: {error}")
