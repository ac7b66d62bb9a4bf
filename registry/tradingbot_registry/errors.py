"""Reasons why the registry can't start. Each message is one line that says what to do."""


class RegistryError(RuntimeError):
    """Base of all reasons."""


class DatabaseURLError(RegistryError):
    """`database_url` does not name a supported database."""


class DatabaseUnusableError(RegistryError):
    """The database can't be opened, read or written, or is not the registry's."""


class SchemaError(RegistryError):
    """This version can't work with the tables of the database."""


class AddressError(RegistryError):
    """The registry can't listen on the address, or must not without authentication and TLS."""


class CertificateError(RegistryError):
    """The serving certificate or its key is missing or can't be used."""


class AuthenticationSetupError(RegistryError):
    """There is no Kubernetes API that can check callers."""


class MaintenanceError(RegistryError):
    """A command on the database was refused, or failed. Nothing was changed."""
