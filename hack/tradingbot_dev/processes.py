"""Background processes that can be found again, and never mistaken for another's.

A pid alone does not name a process: it is reused. Each pid file therefore also records the boot
and the start time, and signals go through a pidfd that was opened before these were compared.
Every process also carries `TRADINGBOT_DEV_RUN=<run folder>` in its environment, which its own
children inherit: that is how workers that outlive their parent are found.
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

from tradingbot_dev import launch
from tradingbot_dev.errors import ProcessDiedError

RUN_VARIABLE = "TRADINGBOT_DEV_RUN"
FINGERPRINT_VARIABLE = "TRADINGBOT_DEV_FINGERPRINT"
POLL_SECONDS = 0.05
GRACE_SECONDS = 15.0


@dataclass(frozen=True)
class Program:
    """What to run: the command, what its environment has beyond ours, and its TCP ports."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Changes if the program must be started anew to be what is asked for."""
        told = json.dumps([self.command, sorted(self.environment.items())])
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True)
class Identity:
    """One process, told apart from all others before and after it."""

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
            return None  # absent, or half a file of an interrupted machine: no process to claim

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
        """Signals this very process, or nobody."""
        with self._pidfd() as pidfd:
            if pidfd is not None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, number)

    def wait(self, seconds: float) -> bool:
        """Whether the process has ended within this time."""
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
        """A handle on this process, or None if it has ended: opened first, compared second."""
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
    """The processes of one run folder: a pid file each, and a log file each."""

    def __init__(self, *, run: Path, log: Path) -> None:
        self.run = run.resolve()
        self.log = log.resolve()

    def pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def log_file(self, name: str) -> Path:
        return self.log / f"{name}.log"

    def running(self, name: str) -> Identity | None:
        """The live process of this name, if this folder started one."""
        identity = Identity.read(self.pid_file(name))
        return identity if identity is not None and identity.alive() else None

    def start(self, program: Program) -> None:
        """Starts a program in the background, in a session of its own. Does not wait for it."""
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
        ours = [str(pid_file), str(os.getpid()), str(self.run)]
        pid = os.posix_spawn(
            sys.executable,
            [*launcher, *ours, *program.command],
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
        """Until the child has named itself: some 20 ms."""
        while not self.pid_file(name).exists():
            ended, _ = os.waitpid(pid, os.WNOHANG)
            if ended:
                raise self.died(name)
            time.sleep(0.002)

    def died(self, name: str) -> ProcessDiedError:
        return ProcessDiedError(
            f"{name} ended by itself; its log is {self.log_file(name)}",
            detail=tail(self.log_file(name)),
        )

    def stop(self, *names: str, grace: float = GRACE_SECONDS) -> list[str]:
        """SIGTERM to all of these at once, SIGKILL to those that outlive `grace` seconds.

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
        """SIGKILL, as a crash would; the pid file stays, as it would."""
        identity = self.running(name)
        if identity is not None:
            identity.send(signal.SIGKILL)
            identity.wait(GRACE_SECONDS)

    def end_strays(self, *, keep: Iterable[str] = ()) -> list[int]:
        """Kills what carries this run folder's mark and is not one of `keep`, nor of its session.

        Returns the pids. Found that way: workers whose parent was killed, and processes whose
        pid file somebody removed.
        """
        kept = {found.pid for name in keep if (found := self.running(name)) is not None}
        ended: list[int] = []
        quiet = 0
        while quiet < 2:
            strays = [found for found in self._ours() if _session(found.pid) not in kept]
            for stray in strays:
                stray.send(signal.SIGKILL)
                stray.wait(GRACE_SECONDS)
                ended.append(stray.pid)
            # A process has no environment to see while it becomes another program. Those that we
            # start have a pid file by then; for those that they start, a second look.
            quiet = 0 if strays else quiet + 1
            time.sleep(POLL_SECONDS if quiet == 1 else 0)
        return ended

    def _ours(self) -> Iterator[Identity]:
        """Every live process of this run folder: by its pid file, or else by its mark."""
        named = [found for path in self.run.glob("*.pid") if (found := Identity.read(path))]
        live = {found.pid: found for found in named if found.alive()}
        yield from ({found.pid: found for found in marked(self.run)} | live).values()


def marked(run: Path) -> Iterator[Identity]:
    """Every live process of ours that was started for this run folder, by its environment."""
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
            continue  # another user's, or gone meanwhile
        if identity.alive():
            yield identity


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def tail(log: Path, *, lines: int = 15) -> str:
    """The end of a log file, for an error's detail."""
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
    """Takes the exit status of a child of ours, so that it does not stay as a zombie."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _inherited() -> dict[str, str]:
    """Our environment, less what would lead a child to another cluster or other settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("KUBECONFIG", "PYTHONPATH")
        and not name.startswith(("KUBERNETES_SERVICE_", "TRADINGBOT_"))
    }
    # Everything that is talked to is on loopback, which Python's HTTP clients do not exempt.
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
