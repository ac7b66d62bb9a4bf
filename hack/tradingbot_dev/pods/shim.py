"""The parent of one container's process, which outlives the agent.

`python -I -S shim.py SPEC_FILE`

Runs a command with exactly the declared environment, and writes how it ended to a file: only a
parent learns that, and the agent may be another process by then. SIGTERM is passed on, as to
process 1 of a container. SIGUSR1 kills the process and its group. When the process ends, the rest
of its group is killed; when the shim is killed, the kernel kills the process. Few modules of the
standard library and no others, since this runs beside every container.
"""

import ctypes
import json
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any, NoReturn

RUN_VARIABLE = "TRADINGBOT_DEV_RUN"
_PR_SET_PDEATHSIG = 1
_SIGNALS = {signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD}
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP)
"""What Python ignores, and what `nohup` or a shell does for jobs in the background."""
START_ERROR = 128
"""The exit code of a command that could not be started, as containerd has it."""


def main(arguments: list[str]) -> None:
    (spec_file,) = arguments
    with open(spec_file) as file:  # noqa: PTH123 - pathlib takes 10 ms to import
        spec = json.load(file)
    os.unlink(spec_file)  # noqa: PTH108 - it may have credentials
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    shim = os.getpid()
    failure, failed = os.pipe()  # both are closed by a successful exec
    child = os.fork()
    if child == 0:
        _become(spec, shim, failed)
    os.close(failed)
    with os.fdopen(failure, "rb") as pipe:
        message = pipe.read().decode()  # ends when the command runs
    status = _wait(child)
    _end_group(child)
    code = os.waitstatus_to_exitcode(status)
    ending: dict[str, object] = {"exitCode": 128 - code if code < 0 else code}
    if message:
        ending = {"exitCode": START_ERROR, "reason": "StartError", "message": message}
    draft = f"{spec['exitFile']}.draft"
    with open(draft, "w") as file:  # noqa: PTH123
        json.dump({**ending, "finished": time.time()}, file)
    os.replace(draft, spec["exitFile"])  # noqa: PTH105


def _become(spec: dict[str, Any], shim: int, failed: int) -> NoReturn:
    """Become the command, in a process group of its own."""
    command = spec["command"]
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != shim:
            os._exit(1)  # the shim was killed before the kernel knew that this process follows it
        log = os.open(spec["logFile"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(spec["directory"])
        environment = {**spec["environment"], RUN_VARIABLE: os.environ[RUN_VARIABLE]}
        for number in _IGNORED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.execvpe(command[0], command, environment)
    except OSError as error:
        os.write(failed, f"cannot run {command[0]}: {error.strerror}".encode())
    except ValueError as error:
        os.write(failed, f"cannot run {command[0]}: {error}".encode())
    os._exit(1)


def _wait(child: int) -> int:
    """Pass signals on until the process has ended. Return its wait status."""
    while True:
        number = signal.sigwait(_SIGNALS)
        if number == signal.SIGTERM:
            os.kill(child, signal.SIGTERM)  # it is not reaped yet, so the pid is the child's
        elif number == signal.SIGUSR1:
            os.killpg(child, signal.SIGKILL)
        else:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status


def _end_group(child: int) -> None:
    with suppress(ProcessLookupError):  # it had no children
        os.killpg(child, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
