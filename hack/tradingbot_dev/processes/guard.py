"""End a test's processes and remove its directory when the test run ends, in whatever way.

`python -m tradingbot_dev.processes.guard RUN_DIRECTORY DIRECTORY` has a pipe as standard input.
Only the test run holds the other end. The kernel closes that end even if the test run is killed
with SIGKILL, after which no `finally` and no `atexit` runs.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tradingbot_dev.processes.table import ProcessTable


class Guard:
    """The guard process. `close` makes it clean up, and waits for it.

    `module` is another module to run, for tests that leave more than processes.
    """

    def __init__(
        self, *, run: Path, directory: Path, module: str = "tradingbot_dev.processes.guard"
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(run.resolve()), str(directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def main(arguments: list[str]) -> None:
    run, directory = (Path(argument) for argument in arguments)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.read()
    ProcessTable(run=run, log=run).end_strays()
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
