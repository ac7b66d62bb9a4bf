"""Errors that end a command, each with a line that says what to do."""


class CommandError(RuntimeError):
    """Base of this package's errors. The text is one line for the user."""


class UsageError(CommandError):
    """Raised for invalid flags or environment variables. Exit code 2."""


class ManifestError(CommandError):
    """Raised when a file, or one document of it, can't be read. Never quotes a value.

    `line` and `column` count from 1; 0 if unknown.
    """

    def __init__(self, message: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
