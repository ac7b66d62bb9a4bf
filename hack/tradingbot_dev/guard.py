"""Ends a test's processes and removes its folder when the test run is gone, however it went.

`python -m tradingbot_dev.guard RUN_FOLDER FOLDER`, with a pipe as standard input whose other end
only the test run holds. The kernel closes that end even if the test run is killed with SIGKILL,
which no `finally` and no `atexit` survives.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tradingbot_dev.processes import ProcessTable


class Guard:
    """The guard as the test run sees it. `close` lets it do its work and waits for it.

    `module` is what guards, if more is to be ended than processes.
    """

    def __init__(self, *, run: Path, folder: Path, module: str = "tradingbot_dev.guard") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(run.resolve()), str(folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def main(arguments: list[str]) -> None:
    run, folder = (Path(argument) for argument in arguments)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.read()
    ProcessTable(run=run, log=run).end_strays()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
