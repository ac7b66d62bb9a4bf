"""Build binaries from pinned Go modules, and report the progress.

An interrupted build leaves no partial binary: each is built beside its path and then renamed. Go
caches what it has compiled, so the next build continues from there.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.errors import BuildError, DiskSpaceError
from tradingbot_dev.processes.table import tail
from tradingbot_dev.progress import Progress, duration
from tradingbot_dev.toolchain.gotoolchain import Go, find_go
from tradingbot_dev.toolchain.targets import KWOK, STAGES, Target

# Measured: modules 1.0 GB, compiled packages 4.0 GB, binaries and Go 0.6 GB.
NEEDED_BYTES = 6_000_000_000
CONTROL_PLANE = "the control plane, once, 5 to 10 minutes on 2 cores"
# Nodes become ready and renew their lease; pods start at once, end, and can be deleted.
_STAGE_DIRECTORIES = ("node/fast", "node/heartbeat-with-lease", "pod/fast")


def build(
    missing: Mapping[Target, Path],
    *,
    cache: Path,
    progress: Progress,
    title: str = CONTROL_PLANE,
) -> None:
    """Build each target to its path. `title` says what is built and how long that takes."""
    began = time.monotonic()
    go = find_go({target.module for target in missing}, cache=cache, progress=progress)
    _demand_space(go, cache, next(iter(missing)).module)
    progress.step(f"building with Go {'.'.join(map(str, go.version))}: {title}")
    for number, (target, path) in enumerate(missing.items(), start=1):
        path.parent.mkdir(parents=True, exist_ok=True)
        job = _Job(go, target, path, f"[{number}/{len(missing)}] {target.binary}")
        job.run(progress)
    progress.step(f"built in {duration(time.monotonic() - began)}, kept in {cache}")


@dataclass(frozen=True)
class _Job:
    """The build of one binary."""

    go: Go
    target: Target
    path: Path
    title: str

    def run(self, progress: Progress) -> None:
        began = time.monotonic()
        log = self.path.with_name(f"{self.target.binary}.log")
        log.write_text("")
        draft = self.path.with_name(f"{self.target.binary}.{os.getpid()}.draft")
        try:
            to_compile = self._to_compile(progress, log)
            self._compile(draft, to_compile, progress, log)
            if self.target == KWOK:
                self._copy_stages()
            draft.replace(self.path)
        finally:
            progress.clear()
            draft.unlink(missing_ok=True)
        progress.step(f"{self.title}: built in {duration(time.monotonic() - began)}")

    def _to_compile(self, progress: Progress, log: Path) -> int:
        """Return how many packages Go has to compile. Downloads the modules first."""
        fetched = 0
        listed: list[str] = []
        progress.update(f"{self.title}: listing the packages to compile")
        command = ["list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *self._flags()]
        for line in _go_lines(self.go, command, directory=self.target.module, log=log):
            if line.startswith("go: downloading "):
                fetched += 1
                progress.update(f"{self.title}: downloading modules, {fetched} so far")
            elif line:
                listed.append(line)
        return len(listed)

    def _compile(self, draft: Path, total: int, progress: Progress, log: Path) -> None:
        began = time.monotonic()
        done = 0
        command = ["build", "-v", "-o", str(draft), *self._flags()]
        for line in _go_lines(self.go, command, directory=self.target.module, log=log):
            if line.startswith(("#", "go: ", "\t")) or " " in line:
                continue  # a compiler's message: it is in the log
            done += 1
            spent = time.monotonic() - began
            state = f"compiled {done} of {max(total, done)} packages, {duration(spent)}"
            if done >= total - 1:
                state += ", linking"
            elif done > 20 and spent > 10:
                state += f", about {duration(spent * (total - done) / done)} to go"
            progress.update(f"{self.title}: {state}")

    def _flags(self) -> list[str]:
        flags = ["-trimpath", "-buildvcs=false", "-ldflags", self.target.link_flags]
        return [*flags, self.target.package]

    def _copy_stages(self) -> None:
        """Copy kwok's stages into the cache, so that a start does not need Go's module cache."""
        module = self.go.run(
            "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok", directory=self.target.module
        )
        stages = self.path.with_name(STAGES)
        draft = self.path.with_name(f"{STAGES}.{os.getpid()}.draft")
        draft.mkdir()
        try:
            for directory in _STAGE_DIRECTORIES:
                for source in sorted(
                    (Path(module) / "kustomize" / "stage" / directory).glob("*.yaml")
                ):
                    if source.name != "kustomization.yaml":
                        shutil.copyfile(source, draft / source.name)
            shutil.rmtree(stages, ignore_errors=True)
            draft.rename(stages)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _go_lines(go: Go, arguments: list[str], *, directory: Path, log: Path) -> Iterator[str]:
    """Yield the lines of a `go` command and append them to the log. Raises BuildError."""
    with (
        log.open("a") as copy,
        subprocess.Popen(
            [str(go.command), *arguments],
            cwd=directory,
            env=go.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                copy.write(line)
                yield line.rstrip("\n")
            code = process.wait()
        finally:
            # Also ends the compilers that it started, if the build is interrupted.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
    if code != 0:
        raise BuildError(
            f"go {arguments[0]} failed for {arguments[-1]}; its output is in {log}",
            detail=tail(log),
        )


def _demand_space(go: Go, cache: Path, module: Path) -> None:
    places = go.run("env", "GOCACHE", "GOMODCACHE", directory=module).splitlines()
    for place in [Path(name) for name in places] + [cache]:
        existing = next(directory for directory in (place, *place.parents) if directory.exists())
        free = shutil.disk_usage(existing).free
        if free < NEEDED_BYTES:
            raise DiskSpaceError(
                f"{free / 1e9:.1f} GB are free on the disk of {place}, and the build needs up to "
                f"{NEEDED_BYTES / 1e9:.0f} GB: free some space, or set GOCACHE, GOMODCACHE and "
                f"XDG_CACHE_HOME to directories on a larger disk"
            )
