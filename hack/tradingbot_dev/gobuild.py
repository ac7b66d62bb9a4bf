"""Builds binaries, the control plane's above all, from pinned Go modules; says how far it is.

An interrupted build leaves no half binary: each is built beside its place and renamed into it.
What Go had compiled until then is in Go's own cache, so the next try goes on from there.
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

from tradingbot_dev.assets import KWOK, STAGES, Target
from tradingbot_dev.errors import BuildError, DiskSpaceError
from tradingbot_dev.gotoolchain import Go, find_go
from tradingbot_dev.processes import tail
from tradingbot_dev.progress import Progress, duration

# Measured: modules 1.0 GB, compiled packages 4.0 GB, binaries and Go itself 0.6 GB.
NEEDED_BYTES = 6_000_000_000
CONTROL_PLANE = "the control plane, once, 5 to 10 minutes on 2 cores"
# Nodes that come up and keep their lease, pods that start at once, end, and can be deleted.
_STAGE_FOLDERS = ("node/fast", "node/heartbeat-with-lease", "pod/fast")


def build(
    missing: Mapping[Target, Path],
    *,
    cache: Path,
    progress: Progress,
    title: str = CONTROL_PLANE,
) -> None:
    """Builds each target to its path. `title` says what they are, and what is worth knowing."""
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
    """The building of one binary."""

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
        """How many packages Go's cache lacks. Fetches the modules, which it has to read."""
        fetched = 0
        listed: list[str] = []
        progress.update(f"{self.title}: looking at what there is to compile")
        command = ["list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *self._flags()]
        for line in _go_lines(self.go, command, directory=self.target.module, log=log):
            if line.startswith("go: downloading "):
                fetched += 1
                progress.update(f"{self.title}: fetching modules, {fetched} so far")
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
        """Into the cache, so that a start needs Go and its module cache no more."""
        module = self.go.run(
            "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok", directory=self.target.module
        )
        stages = self.path.with_name(STAGES)
        draft = self.path.with_name(f"{STAGES}.{os.getpid()}.draft")
        draft.mkdir()
        try:
            for folder in _STAGE_FOLDERS:
                for source in sorted(
                    (Path(module) / "kustomize" / "stage" / folder).glob("*.yaml")
                ):
                    if source.name != "kustomization.yaml":
                        shutil.copyfile(source, draft / source.name)
            shutil.rmtree(stages, ignore_errors=True)
            draft.rename(stages)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _go_lines(go: Go, arguments: list[str], *, directory: Path, log: Path) -> Iterator[str]:
    """The lines of a `go` command as they come, also kept in the log; raises if it fails."""
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
            # Also the compilers that it started, when this build is given up.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
    if code != 0:
        raise BuildError(
            f"go {arguments[0]} failed for {arguments[-1]}; all it said is in {log}",
            detail=tail(log),
        )


def _demand_space(go: Go, cache: Path, module: Path) -> None:
    places = go.run("env", "GOCACHE", "GOMODCACHE", directory=module).splitlines()
    for place in [Path(one) for one in places] + [cache]:
        existing = next(folder for folder in (place, *place.parents) if folder.exists())
        free = shutil.disk_usage(existing).free
        if free < NEEDED_BYTES:
            raise DiskSpaceError(
                f"{free / 1e9:.1f} GB are free where {place} is, and the build takes up to "
                f"{NEEDED_BYTES / 1e9:.0f} GB: free some, or set GOCACHE, GOMODCACHE and "
                f"XDG_CACHE_HOME to folders on a larger disk"
            )
