"""Everything that can go wrong for a newcomer, each with one line that says what to do.

`str(error)` is that one line. `detail` is what an expert wants to see below it: the end of a log.
"""


class LocalClusterError(RuntimeError):
    """The base of all errors that end a command with exit code 1."""

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail
        if detail:
            self.add_note(detail)


class PortTakenError(LocalClusterError):
    """A process that is none of ours listens on a port that one of ours needs."""


class ProcessDiedError(LocalClusterError):
    """A process that was started ended by itself."""


class NotReadyError(LocalClusterError):
    """Something that was waited for did not come in time."""


class BuildError(LocalClusterError):
    """`go build` failed, or could not be run."""


class ToolMissingError(LocalClusterError):
    """A program that is needed is not on this machine."""


class DiskSpaceError(LocalClusterError):
    """Less space than the next step is known to take."""


class CommandFailedError(LocalClusterError):
    """A program that was run to its end exited with an error."""
