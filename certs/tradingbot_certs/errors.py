"""What can go wrong while certificates are kept, each with a line that says what to do."""


class CertsError(RuntimeError):
    """Base of this package's errors. Its text is one line for a person to act on."""


class CertSettingsError(CertsError):
    """Raised when the settings contradict each other or miss something."""


class ForeignCertificateError(CertsError):
    """Raised when what is stored was made by somebody else: it is never overwritten."""


class StorageError(CertsError):
    """Raised when certificates can't be read or written and only a person can mend it."""


class ClusterError(CertsError):
    """Raised when the API server can't be reached or refuses; a later check may well succeed."""


class ConflictError(ClusterError):
    """Raised when somebody else wrote between our read and our write; reading again helps."""
