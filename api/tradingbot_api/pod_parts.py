"""The parts of `spec.pod`: environment, files, storage; and the way out to the exchange."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tradingbot_api.base_url import BASE_URL_FORM, authority_problem
from tradingbot_api.constraints import (
    Cel,
    NotNull,
    QuantityText,
    Text,
    cel,
)
from tradingbot_api.model import DNS_SUBDOMAIN, KEY_NAME, Model

CONFIG_DIRECTORY = "/etc/tradingbot"
CA_DIRECTORY = "/etc/tradingbot-ca"
TEMPORARY_DIRECTORY = "/tmp"  # noqa: S108 - a path inside the container
OWN_DIRECTORIES = (CONFIG_DIRECTORY, CA_DIRECTORY, TEMPORARY_DIRECTORY)
"""What the operator mounts into the bot's container."""
GATEWAY_DIRECTORY = "/etc/tradingbot-gateway"
"""What a gateway hands to its bot, such as a CA and the placeholders of keys."""
BASE_URL_ENV = "EXCHANGE_BASE_URL"
"""The variable of a bot with its gateway's address."""
OWN_ENV_PREFIXES = ("EXCHANGE_API_", "TRADINGBOT_")
PROXY_ENV = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")
CA_ENV = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
DEFAULT_STORAGE_PATH = "/data"
MAX_VALUE_LENGTH = 4096
MIN_TOKEN_SECONDS = 600
DEFAULT_TOKEN_SECONDS = 3600

SIZE_SHRINKS = (
    "must not be less than before: a volume can grow, never shrink; for a smaller one create"
    " another bot"
)
CLASS_IS_IMMUTABLE = (
    "is immutable: a volume stays in the class that it was created in; remove storage, delete the"
    " PersistentVolumeClaim and add storage again, or create another bot"
)
MOUNT_PATH_FORM = (
    "must be an absolute path without ':', '.' or '..', and with no '/' at its end, such as /data"
)
PROXY_FORM = "must be the http or https URL of a proxy such as http://proxy.example:3128"
ENV_NAME_FORM = (
    "must be the name of an environment variable: letters, digits, '_', '-' and '.', not beginning"
    " with a digit or '..'"
)


def name_of(what: str) -> Text:
    return Text(
        f"must be the name of a {what} (a DNS-1123 subdomain: lower-case letters, digits, '-' and"
        " '.')",
        pattern=DNS_SUBDOMAIN,
        max_length=253,
        sensitive=what == "Secret",
    )


def _has_plain_steps(path: str) -> bool:
    return path.isprintable() and {"", ".", ".."}.isdisjoint(path.split("/"))


def _mount_path_problem(path: str) -> str | None:
    return None if _has_plain_steps(path.removeprefix("/")) else MOUNT_PATH_FORM


def _file_name_problem(path: str) -> str | None:
    sound = _has_plain_steps(path) and not path.startswith("..")
    return None if sound else "must be a relative path without '..'"


def _env_name_problem(name: str) -> str | None:
    return ENV_NAME_FORM if name == "." or name.startswith("..") else None


def _proxy_problem(text: str) -> str | None:
    if "@" in text:
        return (
            "must not contain user info; use a proxy that knows its clients by address or by"
            " network, or one beside the bot that adds the credentials"
        )
    if not text.isprintable():
        return PROXY_FORM
    problem = authority_problem(text.split("://", 1)[1].removesuffix("/"))
    return PROXY_FORM if problem == BASE_URL_FORM else problem


ConfigMapName = Annotated[str, name_of("ConfigMap")]
SecretName = Annotated[str, name_of("Secret")]
Key = Annotated[
    str,
    Text(
        "must be the name of a key (letters, digits, '-', '_' and '.', at most 253)",
        pattern=KEY_NAME,
        max_length=253,
        sensitive=True,
    ),
]
Plain = Annotated[str, Text("must be a string", max_length=MAX_VALUE_LENGTH)]
Argument = Annotated[str, Text("must be a string", max_length=MAX_VALUE_LENGTH, sensitive=True)]
EnvName = Annotated[
    str,
    Text(
        ENV_NAME_FORM,
        pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$",
        max_length=253,
        check=_env_name_problem,
    ),
]
MountPath = Annotated[
    str,
    Text(MOUNT_PATH_FORM, pattern=r"^/[^:]+$", max_length=1024, check=_mount_path_problem),
]
ProxyUrl = Annotated[
    str,
    Text(
        PROXY_FORM,
        pattern=r"^https?://[^/\s?#]+/?$",
        max_length=2048,
        sensitive=True,
        check=_proxy_problem,
    ),
]
StorageSize = Annotated[str, QuantityText('must be a quantity above 0 such as "10Gi"')]


class NetworkPolicyMode(StrEnum):
    """Which NetworkPolicy the bot gets."""

    RESTRICTED = "Restricted"


class CaBundle(Model):
    """A key of a ConfigMap with CA certificates."""

    name: ConfigMapName = Field(description="Name of the ConfigMap, in the bot's namespace.")
    key: Key = Field(
        "ca.crt", description="Key in it that has the certificates, in PEM format, one or more."
    )


class PullSecret(Model):
    """A Secret with the credentials of a registry."""

    name: SecretName = Field(
        description="Name of a Secret of type kubernetes.io/dockerconfigjson in the bot's"
        " namespace."
    )


class ConfigMapKey(Model):
    """A key of a ConfigMap."""

    name: ConfigMapName = Field(description="Name of the ConfigMap, in the bot's namespace.")
    key: Key = Field(description="Key in that ConfigMap.")
    optional: Annotated[bool | None, NotNull()] = Field(
        None,
        description="If true, the pod starts without the variable where the ConfigMap or the key"
        " does not exist; otherwise it waits.",
    )


class SecretKeyReference(Model):
    """A key of a Secret."""

    name: SecretName = Field(description="Name of the Secret, in the bot's namespace.")
    key: Key = Field(
        description="Key in that Secret. Not one of the exchange's keys: the bot already has those"
        " in the EXCHANGE_API_ variables."
    )
    optional: Annotated[bool | None, NotNull()] = Field(
        None,
        description="If true, the pod starts without the variable where the Secret or the key does"
        " not exist; otherwise it waits.",
    )


class EnvSource(Model):
    """Where the value of a variable comes from. Exactly one of the two."""

    config_map_key_ref: Annotated[ConfigMapKey | None, NotNull()] = Field(
        None, description="A key of a ConfigMap."
    )
    secret_key_ref: Annotated[SecretKeyReference | None, NotNull()] = Field(
        None, description="A key of a Secret. The value reaches the container and no other object."
    )


class EnvVar(Model):
    """An environment variable, with a value or a source of it."""

    name: EnvName = Field(
        description="Name of the variable. Those that the operator sets are refused:"
        " EXCHANGE_API_*, TRADINGBOT_*, and the variables of exchange.proxyURL and"
        " exchange.caBundle if these are set."
    )
    value: Annotated[Argument | None, NotNull()] = Field(
        None,
        description="Value of the variable. $(NAME) stands for a variable that is defined before"
        " it. Never a credential: that belongs into a Secret, and into valueFrom.secretKeyRef.",
    )
    value_from: Annotated[EnvSource | None, NotNull()] = Field(
        None,
        description="Key of a ConfigMap or of a Secret that has the value, instead of value:"
        " exactly one of the two.",
    )


class ConfigMapReference(Model):
    """A ConfigMap."""

    name: ConfigMapName = Field(description="Name of the ConfigMap, in the bot's namespace.")
    optional: Annotated[bool | None, NotNull()] = Field(
        None,
        description="If true, the pod starts also where the ConfigMap does not exist; otherwise it"
        " waits.",
    )


class SecretReference(Model):
    """A Secret."""

    name: SecretName = Field(
        description="Name of the Secret, in the bot's namespace. Not the one that"
        " exchange.apiKeySecret names."
    )
    optional: Annotated[bool | None, NotNull()] = Field(
        None,
        description="If true, the pod starts also where the Secret does not exist; otherwise it"
        " waits.",
    )


class EnvFrom(Model):
    """Environment variables from all keys of a ConfigMap or a Secret. Exactly one of the two.

    A variable of env, and one that the operator sets, wins over one of the same name from here.
    """

    prefix: Annotated[EnvName | None, NotNull()] = Field(
        None, description="Text to put before each key, to get the name of the variable."
    )
    config_map_ref: Annotated[ConfigMapReference | None, NotNull()] = Field(
        None, description="ConfigMap whose keys become variables."
    )
    secret_ref: Annotated[SecretReference | None, NotNull()] = Field(
        None, description="Secret whose keys become variables."
    )


class TokenFile(Model):
    """A token of the pod's service account, as a file that the kubelet renews."""

    audience: Annotated[Plain | None, NotNull()] = Field(
        None,
        description="Intended audience of the token, such as vault. A service must refuse a token"
        " of another audience. If unset: the API server of the cluster.",
    )
    expiration_seconds: Annotated[int, Field(ge=MIN_TOKEN_SECONDS, le=2**31 - 1)] = Field(
        DEFAULT_TOKEN_SECONDS,
        description=f"Lifetime of the token in seconds, at least {MIN_TOKEN_SECONDS}. The kubelet"
        " renews it after 80 % of that.",
    )
    path: Annotated[
        str, Text("must be a relative path without '..'", max_length=253, check=_file_name_problem)
    ] = Field("token", description="Path of the file, relative to mountPath.")


class Files(Model):
    """A read-only directory of the bot's container. Exactly one source.

    Files follow a change of the ConfigMap or the Secret within a minute or two, with no restart.
    """

    mount_path: MountPath = Field(
        description="Absolute path of the directory. Not /tmp, not /etc/tradingbot or one above it,"
        " and not inside of another directory of files."
    )
    config_map: Annotated[ConfigMapReference | None, NotNull()] = Field(
        None, description="ConfigMap whose keys become files, each called like its key."
    )
    secret: Annotated[SecretReference | None, NotNull()] = Field(
        None, description="Secret whose keys become files, each called like its key."
    )
    service_account_token: Annotated[TokenFile | None, NotNull()] = Field(
        None,
        description="Token of the service account. Without such an entry the pod has no token.",
    )


class Storage(Model):
    """A persistent volume of the bot, by a PersistentVolumeClaim NAME-data (ReadWriteOnce)."""

    size: Annotated[
        StorageSize,
        cel(
            Cel(
                "!isQuantity(string(self)) || !isQuantity(string(oldSelf))"
                " || quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",
                SIZE_SHRINKS,
            )
        ),
    ] = Field(
        description="Size of the volume, a quantity above 0 such as 10Gi. It can be raised, if the"
        " storage class allows expansion, with no restart of the bot; it can't be lowered."
    )
    storage_class_name: Annotated[Annotated[str, name_of("StorageClass")] | None, NotNull()] = (
        Field(
            None,
            description="Storage class of the volume. Immutable. If unset: the default class of the"
            " cluster.",
        )
    )
    mount_path: MountPath = Field(
        DEFAULT_STORAGE_PATH,
        description="Absolute path of the volume in the bot's container. The bot's user (65532) may"
        " write there.",
    )
    retain: bool = Field(
        False,
        description="Whether the volume outlives the bot. true: the deletion of the bot keeps the"
        " PersistentVolumeClaim, and a bot of the same name gets it back. false: the claim is"
        " deleted with the bot.",
    )


CLASS_IS_KEPT = Cel(
    "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName)"
    " || self.storageClassName == oldSelf.storageClassName)",
    f"storageClassName {CLASS_IS_IMMUTABLE}",
)
