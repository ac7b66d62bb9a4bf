"""What ends a command, each with a line that says what to do."""


class CommandError(RuntimeError):
    """Base of this package's errors. Its text is one line for a person to act on."""


class UsageError(CommandError):
    """Raised when flags or environment variables make no sense. Ends with code 2."""


class ManifestError(CommandError):
    """Raised when a file, or one document of it, can't be read. Never quotes a value.

    `line` and `column` count from 1; 0 where nobody knows.
    """

    def __init__(self, message: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
