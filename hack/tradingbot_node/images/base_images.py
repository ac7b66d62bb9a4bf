"""Substitutes for the base images that Dockerfiles name, built with debootstrap and cached.

Neither the node for tests nor a build of its images can reach an image registry. The substitute for
`debian:trixie-slim` is that release, from the Debian mirror of this machine. The substitute for
`python:3.13-slim` is CPython built on it, in the same directories as in the official image.
"""

import hashlib
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tradingbot_dev.errors import BuildError, ToolMissingError
from tradingbot_dev.processes.table import tail
from tradingbot_dev.progress import Progress, duration
from tradingbot_dev.toolchain.assets import cache_directory, only_builder

from tradingbot_node.host.commands import PATH, run
from tradingbot_node.images.buildah import buildah, demand_tools, image_id, work_directory

MIRROR_VARIABLE = "TRADINGBOT_DEBIAN_MIRROR"
RELEASE = "trixie"
DEBIAN, PYTHON = f"debian:{RELEASE}-slim", "python:3.13-slim"
# Includes what the official Python image adds to Debian's.
_PACKAGES = ("ca-certificates", "netbase", "tzdata")
_RECIPE = Path(__file__).parents[2] / "image" / "python-slim.Dockerfile"
_LEFT_OUT = ("./dev/*", "./var/cache/apt/*", "./var/lib/apt/lists/*", "./var/log/*")


def base_image(name: str, *, progress: Progress | None = None) -> Path:
    """Return the archive of a substitute, such as `python:3.13-slim`, after building it if missing.

    Raises ToolMissingError if root, buildah or debootstrap are missing or the name has no recipe,
    and BuildError if the build fails.
    """
    shown = progress or Progress()
    cache = cache_directory().with_name("images")
    if name == DEBIAN:
        key = _key(RELEASE, *_PACKAGES, *_LEFT_OUT)
    elif name == PYTHON:
        key = _key(_RECIPE.read_text(), image_id(base_image(DEBIAN, progress=shown)))
    else:
        raise ToolMissingError(
            f"the base image {name} has no substitute; known are {DEBIAN} and {PYTHON}"
        )
    archive = cache / f"{name.replace(':', '-')}-{key}.tar"
    if archive.exists():
        return archive
    with only_builder(cache, shown):
        if not archive.exists():  # another process may have built it while this one waited
            began = time.monotonic()
            if name == DEBIAN:
                shown.step(f"building the base image {name} with debootstrap: about a minute")
                _make_debian(archive)
            else:
                shown.step(f"building the base image {name}: CPython, about 5 minutes on 2 cores")
                _make_python(archive)
            shown.step(f"built {name} in {duration(time.monotonic() - began)}, kept in {cache}")
    return archive


def mirror(environment: Mapping[str, str] = os.environ) -> str:
    """Return the Debian mirror of this machine, as configured for apt."""
    named = environment.get(MIRROR_VARIABLE)
    if named:
        return named
    listed = run("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Origin: Debian")
    found = debian_mirror(listed)
    if found is None:
        raise ToolMissingError(
            f"apt has no Debian mirror (run apt-get update if its lists are missing): "
            f"set {MIRROR_VARIABLE} to the URL of a mirror"
        )
    return found


def debian_mirror(listing: str) -> str | None:
    """Return the first mirror of the main archive in lines of label and URI, not of security."""
    pairs = (line.split(maxsplit=1) for line in listing.splitlines())
    return next((uri for label, uri in pairs if label == "Debian"), None)


def _key(*decisive: str) -> str:
    return hashlib.sha256("\0".join(decisive).encode()).hexdigest()[:16]


def _make_debian(archive: Path) -> None:
    demand_tools("debootstrap", "buildah")
    log = archive.with_suffix(".log")
    with work_directory(archive.parent, "debootstrap-") as directory:
        tree, context = directory / "tree", directory / "context"
        context.mkdir()
        _bootstrap(tree, log)
        left_out = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
        run("tar", *left_out, "-C", str(tree), "-cf", str(context / "tree.tar"), ".")
        recipe = context / "Dockerfile"
        recipe.write_text('FROM scratch\nADD tree.tar /\nCMD ["bash"]\n')
        _build(archive, DEBIAN, context=context, recipe=recipe, bases=())


def _bootstrap(tree: Path, log: Path) -> None:
    options = ["--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    with log.open("w") as file:
        done = subprocess.run(
            ["debootstrap", *options, RELEASE, str(tree), mirror()],
            env={**os.environ, "PATH": PATH},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise BuildError(f"debootstrap failed; its output is in {log}", detail=tail(log))


def _make_python(archive: Path) -> None:
    debian = base_image(DEBIAN)
    with work_directory(archive.parent, "context-") as empty:
        _build(archive, PYTHON, context=empty, recipe=_RECIPE, bases=(debian,))


def _build(
    archive: Path, tag: str, *, context: Path, recipe: Path, bases: tuple[Path, ...]
) -> None:
    with buildah(archive.parent, log=archive.with_suffix(".build.log")) as tool:
        for base in bases:
            tool.pull(base)
        tool.build(
            tag, context=context, dockerfile=recipe, build_args={}, secrets={}, timestamp=None
        )
        tool.save(tag, archive)
