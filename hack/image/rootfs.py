"""Collects the files that the image is made of, in the Dockerfile's build stage.

    python rootfs.py APPLICATION TARGET

APPLICATION is the virtual environment with the product. Afterwards `TARGET/runtime` has what it
runs on (Python, shared libraries, certificates, accounts, what a scanner wants to know) and
`TARGET/application` has itself. Both are trees to be copied to `/`; there is no shell in them, no
package installer and nothing that is only there because a base image brought it along.

The same input gives the same bytes: times are those of SOURCE_DATE_EPOCH, modes are one of three,
and what is compiled is compiled in a fixed order. Nothing here knows a machine's architecture:
where a library lies is what the dynamic loader says.

Standard library only. It runs on the Python that it copies.
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
# Loaded by name when a thread ends early, so that no executable and no library links to it.
LOADED_AT_RUN_TIME = ("libgcc_s.so.1",)
# What is not in any package's list of files, and the package that it comes from.
GENERATED = {CA_BUNDLE: "ca-certificates"}

# Of the standard library: what installs, teaches or tests, and the parts of a desktop.
_LIBRARY_LEFT_OUT = (
    *("ensurepip", "venv", "site-packages", "config-*"),
    *("idlelib", "macholib", "tkinter", "turtle.py", "turtledemo", "pydoc_data"),
    *("test", "tests", "__pycache__"),
)
# Of its compiled modules: tests, and what would bring in libraries that nothing here uses.
_MODULES_LEFT_OUT = (
    *("_test*", "_ctypes_test", "xx*", "_xx*"),
    *("_curses*", "_dbm", "_gdbm", "_tkinter", "nis", "readline"),
)
# Of the application: other programs' commands, sources of what is compiled, a second client of
# the Kubernetes API that nothing imports, and what Swagger UI has for its own developers.
_APPLICATION_LEFT_OUT = (
    *("include", "share", "*/__pycache__", "*.pyc", "*/site-packages/*/tests"),
    *("*.c", "*.h", "*.pxd", "*.pxi", "*.pyx"),
    "*/kubernetes/aio",
    *("*.css.map", "*.js.map", "*/swagger-ui-es-bundle*.js"),
)
_COMMANDS = ("python*", "tradingbot")
# Generated, a thousand files that say little, and with their sources a third of the image.
_COMPILED_ONLY = "site-packages/kubernetes/client"

_ACCOUNTS = {
    "etc/passwd": f"root:x:0:0:root:/root:/sbin/nologin\n"
    f"nonroot:x:{USER}:{USER}:nonroot:/tmp:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nnonroot:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class CannotCollectError(RuntimeError):
    """What is missing on this machine, in one line."""


def of_library(path: Path) -> bool:
    """Whether the image has this file or folder, relative to the standard library."""
    if any(fnmatch(part, pattern) for part in path.parts for pattern in _LIBRARY_LEFT_OUT):
        return False
    module = path.name.partition(".")[0]
    compiled = path.suffix == ".so"
    return not (compiled and any(fnmatch(module, pattern) for pattern in _MODULES_LEFT_OUT))


def of_application(path: Path) -> bool:
    """Whether the image has this file or folder, relative to the virtual environment."""
    if path.parts[0] == "bin" and len(path.parts) > 1:
        return any(fnmatch(path.name, pattern) for pattern in _COMMANDS)
    return not any(fnmatch(str(path), pattern) for pattern in _APPLICATION_LEFT_OUT)


def loaded(ldd: str) -> list[Path]:
    """The paths in what `ldd` prints. Raises CannotCollectError for a library that is nowhere."""
    missing = re.findall(r"^\s*(\S+) => not found", ldd, re.MULTILINE)
    if missing:
        raise CannotCollectError(f"a shared library is missing: {', '.join(missing)}")
    return [Path(path) for path in re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", ldd, re.MULTILINE)]


@dataclass(frozen=True)
class Tree:
    """Files of this machine below another root, each at its own path."""

    root: Path

    def add(self, path: Path) -> None:
        """Copies a file, or a link together with what it leads to."""
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
            # Modules that may be executed need Python named in front all the same.
            program = os.access(path, os.X_OK) and path.suffix != ".py"
            copy.chmod(0o755 if program else 0o644)

    def add_folder(self, folder: Path, wanted: Callable[[Path], bool]) -> None:
        """Copies what is wanted of a folder, links as they are."""
        for path in sorted(folder.iterdir()):
            self._add_wanted(path, folder, wanted)

    def write(self, path: str, text: str) -> None:
        copy = self.root / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
        copy.chmod(0o644)

    def place(self, path: Path) -> Path:
        return self.root / path.relative_to("/")

    def files(self) -> Iterator[Path]:
        """The real files, by the paths that they have in the image."""
        for folder, _, names in os.walk(self.root):
            for name in sorted(names):
                path = Path(folder, name)
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
    """The interpreter under all of its names, and its library."""
    executable = Path(sys.executable).resolve()
    for path in sorted(executable.parent.glob("python*")):
        if path.resolve() == executable:
            tree.add(path)
    for name in ("stdlib", "platstdlib"):
        tree.add_folder(Path(sysconfig.get_path(name)), of_library)


def add_libraries(tree: Tree, *users: Tree) -> None:
    """What the loader needs for every executable and module in the trees, and its cache."""
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
    folders = {str(_resolved(library).parent) for library in found}
    tree.write("etc/ld.so.conf", "".join(f"{folder}\n" for folder in sorted(folders)))
    _output("ldconfig", "-X", "-i", "-r", str(tree.root))
    shutil.rmtree(tree.root / "var" / "cache", ignore_errors=True)


def add_packages(tree: Tree) -> None:
    """Which packages the files come from, where scanners look for it in images of this kind.

    That is one file a package in `var/lib/dpkg/status.d`, and one with the checksums of its files
    that are here. Each package's licence comes along.
    """
    # Python is no package here, and what is in /etc was made here or when packages were installed.
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
    """Certificates of authorities, the accounts, and the folders that volumes are mounted on."""
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


def mend_records(tree: Tree) -> None:
    """Takes out of each RECORD, the list of a package's files, what was left out here."""
    for record in sorted(tree.root.rglob("*.dist-info/RECORD")):
        site = record.parent.parent
        rows = list(csv.reader(record.read_text().splitlines()))
        there = [row for row in rows if os.path.lexists(site / row[0])]
        with record.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(there)


def compile_all(tree: Tree, folder: Path) -> None:
    """Compiles once and for all, since no start could keep what it compiles.

    Files are never compared with their sources again, so times don't matter. No workers, since what
    a process compiled before shows in what it writes.
    """
    for generated in sorted(tree.place(folder).glob(f"**/{_COMPILED_ONLY}")):
        _compile(tree, generated, "-b", "-o", "2")  # beside the source, without docstrings
        for source in generated.rglob("*.py"):
            source.unlink()
    _compile(tree, tree.place(folder))


def settle(root: Path, epoch: int) -> None:
    """Gives everything the same time, and folders the same mode; deepest first."""
    for folder, folders, names in os.walk(root, topdown=False):
        for name in (*folders, *names):
            path = Path(folder, name)
            if path.is_dir() and not path.is_symlink() and path != root / "tmp":
                path.chmod(0o755)
            os.utime(path, (epoch, epoch), follow_symlinks=False)
    root.chmod(0o755)
    os.utime(root, (epoch, epoch))


def main(arguments: list[str]) -> None:
    application, target = (Path(argument) for argument in arguments)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    product, runtime = Tree(target / "application"), Tree(target / "runtime")
    product.add_folder(application, of_application)
    add_python(runtime)
    add_libraries(runtime, runtime, product)
    add_rest(runtime)
    add_packages(runtime)
    compile_all(runtime, Path(sysconfig.get_path("stdlib")))
    compile_all(product, application)
    mend_records(product)
    for tree in (runtime, product):
        settle(tree.root, epoch)
        print(f"{tree.root.name}: {_size(tree):.1f} MB")


def _compile(tree: Tree, folder: Path, *options: str) -> None:
    common = ["-q", "-f", "-s", str(tree.root), "-p", "/", "--invalidation-mode=unchecked-hash"]
    subprocess.run(
        [sys.executable, "-P", "-m", "compileall", *common, *options, str(folder)],
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
    """The packages that have these files.

    Where `/lib` is a link to `/usr/lib`, some list them under the short name.
    """
    short = [Path("/", path.relative_to("/usr")) for path in paths if path.is_relative_to("/usr")]
    done = subprocess.run(
        ["dpkg-query", "--search", *map(str, paths + short)],
        capture_output=True,
        text=True,
        check=False,  # 1 if one of them is nobody's, as some are
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
