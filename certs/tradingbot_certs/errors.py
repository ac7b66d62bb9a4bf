"""Errors of this package. Each message is one line that says what to do."""


class CertsError(RuntimeError):
    """Base of this package's errors. The text is one line for the user."""


class CertSettingsError(CertsError):
    """Raised when the settings contradict each other or miss something."""


class ForeignCertificateError(CertsError):
    """Raised when another program made what is stored. It is never overwritten."""


class StorageError(CertsError):
    """Raised when certificates can't be read or written and only a user can fix that."""


class ClusterError(CertsError):
    """Raised when the API server can't be reached or refuses. A later check may succeed."""


class ConflictError(ClusterError):
    """Raised when another writer came between the read and the write. Reading again helps."""
