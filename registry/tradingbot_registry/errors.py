"""Why the registry can't start: each message is one line that says what to do."""


class RegistryError(RuntimeError):
    """Base of every reason not to start."""


class DatabaseURLError(RegistryError):
    """`database_url` does not name a database that this version can use."""


class DatabaseUnusableError(RegistryError):
    """The database exists in name, but can't be opened, read, written or understood."""


class SchemaError(RegistryError):
    """The database's tables are not ones that this version can work with."""


class AddressError(RegistryError):
    """The address can't be listened on, or must not be without authentication."""


class AuthenticationSetupError(RegistryError):
    """The Kubernetes API that should check callers is not configured."""


class ServerError(RegistryError):
    """The HTTP server gave up."""
