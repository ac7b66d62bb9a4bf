"""Write a pid file, then become another program.

`python -I -S launch.py PID_FILE PARENT_PID DIRECTORY COMMAND...`

The process writes its own pid file before it becomes COMMAND. If the parent wrote the file, a
parent killed between the fork and the write would leave a process that cannot be found again.
Few modules of the standard library and no others, since this runs before every program.
"""

import json
import os
import sys
from pathlib import Path


def start_time(pid: int) -> int:
    """Return when process `pid` started, in clock ticks since boot: field 22 of /proc/PID/stat."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    # The second field is the name in parentheses, and may itself contain spaces and parentheses.
    return int(stat.rpartition(")")[2].split()[19])


def main(arguments: list[str]) -> None:
    pid_file, parent, directory, *command = arguments
    os.setsid()
    os.chdir(directory)
    record = {
        "pid": os.getpid(),
        "startTime": start_time(os.getpid()),
        "bootId": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "fingerprint": os.environ.get("TRADINGBOT_DEV_FINGERPRINT", ""),
        "command": command,
    }
    draft = Path(f"{pid_file}.{os.getpid()}")
    draft.write_text(json.dumps(record) + "\n")
    draft.replace(pid_file)
    if os.getppid() != int(parent):
        # The parent has ended. If it ends after this check, its guard finds the file.
        Path(pid_file).unlink(missing_ok=True)
        raise SystemExit("the parent process has ended")
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise SystemExit(f"cannot run {command[0]}: {error.strerror}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
