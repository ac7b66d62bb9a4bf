"""Why a release step fails."""


class ReleaseError(RuntimeError):
    """A release step cannot be done; the message is one line that says what to do."""
