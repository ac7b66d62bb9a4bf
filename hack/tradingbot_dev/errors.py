"""The errors that a command reports in one line, with what to do.

`str(error)` is that line. `detail` is printed above it: the end of a log.
"""


class LocalClusterError(RuntimeError):
    """The base of all errors that end a command with exit code 1."""

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail
        if detail:
            self.add_note(detail)


class PortTakenError(LocalClusterError):
    """Another process listens on a port that one of these processes needs."""


class ProcessDiedError(LocalClusterError):
    """A process ended that should be running."""


class NotReadyError(LocalClusterError):
    """A condition did not become true before its deadline."""


class BuildError(LocalClusterError):
    """`go build` failed, or could not be run."""


class ToolMissingError(LocalClusterError):
    """A required program is not installed."""


class DiskSpaceError(LocalClusterError):
    """The disk has less free space than the next step needs."""


class CommandFailedError(LocalClusterError):
    """A program exited with an error."""
