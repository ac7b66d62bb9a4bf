"""Background processes that can be found again, and are never mistaken for other processes.

A pid alone does not identify a process: pids are reused. Each pid file therefore also records the
boot and the start time, and signals go through a pidfd that was opened before these were compared.
Every process also carries `TRADINGBOT_DEV_RUN=<run directory>` in its environment, which its own
children inherit: this is how workers that outlive their parent are found.
"""

import hashlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tradingbot_dev.errors import ProcessDiedError
from tradingbot_dev.processes import launch

RUN_VARIABLE = "TRADINGBOT_DEV_RUN"
FINGERPRINT_VARIABLE = "TRADINGBOT_DEV_FINGERPRINT"
POLL_SECONDS = 0.05
GRACE_SECONDS = 15.0


@dataclass(frozen=True)
class Program:
    """What to run: the command, additions to the environment, and the TCP ports."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A hash that changes if a running process must be restarted to match."""
        content = json.dumps([self.command, sorted(self.environment.items())])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Identity:
    """One process, distinct from all others that have or had its pid."""

    pid: int
    start_time: int
    boot_id: str
    fingerprint: str = ""

    @classmethod
    def read(cls, pid_file: Path) -> "Identity | None":
        try:
            record = json.loads(pid_file.read_text())
            return cls(
                pid=int(record["pid"]),
                start_time=int(record["startTime"]),
                boot_id=str(record["bootId"]),
                fingerprint=str(record["fingerprint"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None  # absent, or truncated by a power failure

    def alive(self) -> bool:
        if self.boot_id != boot_id():
            return False
        _reap(self.pid)
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        fields = stat.rpartition(")")[2].split()
        return int(fields[19]) == self.start_time and fields[0] not in "ZX"

    def send(self, number: signal.Signals) -> None:
        """Signal this process, and never another one with its pid."""
        with self._pidfd() as pidfd:
            if pidfd is not None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, number)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process. Return whether it has ended."""
        with self._pidfd() as pidfd:
            if pidfd is None:
                return True
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            ended = bool(poller.poll(max(0.0, seconds) * 1000))
        _reap(self.pid)
        return ended

    @contextmanager
    def _pidfd(self) -> Iterator[int | None]:
        """Open a handle on this process, or None if it has ended.

        The handle is opened before the identity is compared, so that the pid cannot be reused in
        between.
        """
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            yield pidfd if self.alive() else None
        finally:
            os.close(pidfd)


class ProcessTable:
    """The processes of one run directory, each with a pid file and a log file."""

    def __init__(self, *, run: Path, log: Path) -> None:
        self.run = run.resolve()
        self.log = log.resolve()

    def pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def log_file(self, name: str) -> Path:
        return self.log / f"{name}.log"

    def running(self, name: str) -> Identity | None:
        """Return the live process of this name, or None."""
        identity = Identity.read(self.pid_file(name))
        return identity if identity is not None and identity.alive() else None

    def all_running(self) -> dict[str, Identity]:
        """Return every live process that has a pid file in this directory, by its name."""
        names = [path.stem for path in self.run.glob("*.pid")]
        return {name: found for name in names if (found := self.running(name)) is not None}

    def started_since(self, before: Mapping[str, Identity]) -> list[str]:
        """Return the names of the processes that run now and did not run `before`.

        A caller that undoes a start uses this instead of a list of its own: an interrupt can come
        after the start of a process and before the process is in the list.
        """
        return [name for name, found in self.all_running().items() if before.get(name) != found]

    def start(self, program: Program) -> None:
        """Start a program in the background, in a new session. Does not wait until it is ready."""
        self.run.mkdir(parents=True, exist_ok=True)
        self.log.mkdir(parents=True, exist_ok=True)
        pid_file = self.pid_file(program.name)
        pid_file.unlink(missing_ok=True)
        environment = {
            **_inherited(),
            **program.environment,
            RUN_VARIABLE: str(self.run),
            FINGERPRINT_VARIABLE: program.fingerprint,
        }
        launcher = [sys.executable, "-I", "-S", launch.__file__]
        arguments = [str(pid_file), str(os.getpid()), str(self.run)]
        pid = os.posix_spawn(
            sys.executable,
            [*launcher, *arguments, *program.command],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (
                    os.POSIX_SPAWN_OPEN,
                    1,
                    str(self.log_file(program.name)),
                    os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                    0o600,
                ),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
        self._await_pid_file(program.name, pid)

    def _await_pid_file(self, name: str, pid: int) -> None:
        """Wait until the child has written its pid file: some 20 ms."""
        while not self.pid_file(name).exists():
            ended, _ = os.waitpid(pid, os.WNOHANG)
            if ended:
                raise self.died(name)
            time.sleep(0.002)

    def died(self, name: str) -> ProcessDiedError:
        return ProcessDiedError(
            f"{name} has ended unexpectedly; its log is {self.log_file(name)}",
            detail=tail(self.log_file(name)),
        )

    def stop(self, *names: str, grace: float = GRACE_SECONDS) -> list[str]:
        """Send SIGTERM to all of these at once, and SIGKILL to those that outlive `grace` seconds.

        Returns the names of those that were running.
        """
        live = {name: found for name in names if (found := self.running(name)) is not None}
        deadline = time.monotonic() + grace
        for identity in live.values():
            identity.send(signal.SIGTERM)
        for identity in live.values():
            if not identity.wait(deadline - time.monotonic()):
                identity.send(signal.SIGKILL)
                identity.wait(GRACE_SECONDS)
        for name in names:
            self.pid_file(name).unlink(missing_ok=True)
        return list(live)

    def kill(self, name: str) -> None:
        """Send SIGKILL. The pid file stays, as after a crash."""
        identity = self.running(name)
        if identity is not None:
            identity.send(signal.SIGKILL)
            identity.wait(GRACE_SECONDS)

    def end_strays(self, *, keep: Iterable[Identity] = ()) -> list[int]:
        """Kill the processes of this run directory, except `keep` and their sessions.

        Returns the pids. This ends workers whose parent was killed, and processes whose pid file
        was removed.
        """
        kept = {identity.pid for identity in keep}
        ended: list[int] = []
        quiet = 0
        while quiet < 2:
            strays = [found for found in self._all() if _session(found.pid) not in kept]
            for stray in strays:
                stray.send(signal.SIGKILL)
                stray.wait(GRACE_SECONDS)
                ended.append(stray.pid)
            # The environment of a process cannot be read while it becomes another program. Those
            # that this table starts have a pid file by then; for their children, check twice.
            quiet = 0 if strays else quiet + 1
            time.sleep(POLL_SECONDS if quiet == 1 else 0)
        return ended

    def _all(self) -> Iterator[Identity]:
        """Yield every live process of this run directory, by its pid file or its environment."""
        named = [found for path in self.run.glob("*.pid") if (found := Identity.read(path))]
        live = {found.pid: found for found in named if found.alive()}
        yield from ({found.pid: found for found in marked(self.run)} | live).values()


def marked(run: Path) -> Iterator[Identity]:
    """Yield every live process whose environment names this run directory."""
    mark = f"{RUN_VARIABLE}={run}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if mark not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            pid = int(entry.name)
            identity = Identity(pid, launch.start_time(pid), boot_id())
        except OSError:
            continue  # another user's, or it ended meanwhile
        if identity.alive():
            yield identity


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def tail(log: Path, *, lines: int = 15) -> str:
    """Return the last lines of a log file, for the detail of an error."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _reap(pid: int) -> None:
    """Collect the exit status if this is a child, so that no zombie is left."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _inherited() -> dict[str, str]:
    """Return the environment without variables that select another cluster or other settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("KUBECONFIG", "PYTHONPATH")
        and not name.startswith(("KUBERNETES_SERVICE_", "TRADINGBOT_"))
    }
    # All servers are on loopback, which Python's HTTP clients do not exempt from a proxy.
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
