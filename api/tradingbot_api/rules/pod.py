"""What is wrong with the labels, variables, files and storage of `spec.pod`."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from posixpath import commonpath

from tradingbot_api.credentials import Suspect, detect, identifies, name_of_flag
from tradingbot_api.errors import FieldError, Path
from tradingbot_api.labels import label_key_problem, prefix_of
from tradingbot_api.pod import Pod
from tradingbot_api.pod_parts import (
    CA_ENV,
    CLASS_IS_IMMUTABLE,
    OWN_DIRECTORIES,
    OWN_ENV_PREFIXES,
    PROXY_ENV,
    SIZE_SHRINKS,
    EnvFrom,
    EnvVar,
    Files,
    SecretReference,
    Storage,
)
from tradingbot_api.quantity import parse_quantity
from tradingbot_api.rules import scheduling
from tradingbot_api.rules.findings import (
    Finding,
    ItemRule,
    Rule,
    credential,
    duplicates,
    paths,
)
from tradingbot_api.rules.scheduling import POD
from tradingbot_api.tradingbot import TradingBotSpec

STORAGE: Path = (*POD, "storage")
STORAGE_SIZE: Path = (*STORAGE, "size")
STORAGE_CLASS: Path = (*STORAGE, "storageClassName")

OWN_LABELS = frozenset(
    f"app.kubernetes.io/{name}"
    for name in ("name", "instance", "managed-by", "part-of", "component")
)
OWN_PREFIX = "trading.io"
_KUBERNETES_LABELS = frozenset({"pod-template-hash", "controller-revision-hash"})
_WEAKENING_PREFIXES = frozenset(
    {
        "container.apparmor.security.beta.kubernetes.io",
        "container.seccomp.security.alpha.kubernetes.io",
        "seccomp.security.alpha.kubernetes.io",
    }
)
"""Old ways to choose the profiles that the `restricted` standard fixes."""
_KUBERNETES_PREFIXES = frozenset({"deployment.kubernetes.io"})
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MAX_ANNOTATION_BYTES = 128 * 1024
"""Half of what Kubernetes allows: the operator and others add theirs."""

_SYSTEM_PATHS = (
    *("/dev", "/proc", "/sys"),
    *("/etc/hostname", "/etc/hosts", "/etc/resolv.conf"),  # files that the kubelet mounts
)
INSTEAD_OF_A_VALUE = "put it into a Secret, and name that in valueFrom.secretKeyRef"
INSTEAD_OF_METADATA = "put it into a Secret"
INSTEAD_OF_AN_ARGUMENT = "put it into a Secret, name that in env, and write $(NAME)"
EXCHANGE_KEYS = (
    "is a credential of the exchange, which the operator hands to the bot in the EXCHANGE_API_"
    " variables, or to its gateway alone"
)
_REFERENCE = re.compile(r"\$\([-._a-zA-Z0-9]+\)")
"""`$(NAME)`, which the kubelet replaces: no credential, but the place of one."""
_REFERRED_USER_INFO = re.compile(rf"://[^/?#\s@]*{_REFERENCE.pattern}@")


def label(where: Path, value: str | None, now: datetime) -> Iterator[Finding]:
    """Reject a label that the operator or Kubernetes sets, and a credential."""
    key = str(where[-1])
    if _is_ours(key) or key in OWN_LABELS:
        yield FieldError.forbidden(where, "is set by the operator")
    elif key in _KUBERNETES_LABELS:
        yield FieldError.forbidden(where, "is set by Kubernetes")
    else:
        yield from scheduling.label_key(where, value, now)
    # Only forms that are known: labels such as that of a commit look random.
    suspect = detect("", value or "")
    if suspect is not None and suspect.certain:
        yield credential(where, suspect, INSTEAD_OF_METADATA)


def annotation(where: Path, value: str | None, _: datetime) -> Iterator[Finding]:
    """Reject an annotation that others set, that weakens the pod, or that has a credential."""
    key = str(where[-1])
    prefix = prefix_of(key)
    if _is_ours(key):
        yield FieldError.forbidden(where, "is set by the operator")
    elif prefix in _KUBERNETES_PREFIXES or key == _LAST_APPLIED:
        yield FieldError.forbidden(where, "is set by Kubernetes")
    elif prefix in _WEAKENING_PREFIXES:
        yield FieldError.forbidden(where, "the pod keeps to the restricted Pod Security Standard")
    elif (problem := label_key_problem(key.lower())) is not None:
        yield FieldError.invalid(where, key, problem.replace("a label key", "an annotation's key"))
    # Keys of annotations are of others, and many that say `secret` only speak of one, such as
    # `checksum/secret`. That key tells a hash from a value that only looks random.
    suspect = detect("", value or "")
    if suspect is not None and (suspect.certain or not identifies(key)):
        yield credential(where, suspect, INSTEAD_OF_METADATA)


def _is_ours(key: str) -> bool:
    prefix = prefix_of(key)
    return prefix == OWN_PREFIX or prefix.endswith(f".{OWN_PREFIX}")


def annotations_size(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Require that the annotations leave room for those of others."""
    found = (spec.pod and spec.pod.annotations) or {}
    size = sum(len(key.encode()) + len((value or "").encode()) for key, value in found.items())
    if size > MAX_ANNOTATION_BYTES:
        yield FieldError.invalid(
            (*POD, "annotations"),
            found,
            f"must be at most {MAX_ANNOTATION_BYTES} bytes in all, is {size}",
        )


def argument(where: Path, text: str, _: datetime) -> Iterator[Finding]:
    """Reject a credential in the command line, which everybody who may see the pod reads."""
    name, equals, value = text.lstrip("-").partition("=")
    suspect = _suspect(name if equals else "", value if equals else text)
    if suspect is not None:
        yield credential(where, suspect, INSTEAD_OF_AN_ARGUMENT)


def credentials_behind_flags(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Reject a credential in the argument after a flag such as `--password`."""
    pod = spec.pod
    line = [
        ((*POD, name, index), text)
        for name, texts in (("command", pod and pod.command), ("args", pod and pod.args))
        for index, text in enumerate(texts or ())
    ]
    for (_path, before), (where, text) in pairwise(line):
        name = name_of_flag(before)
        # What is a credential whatever is before it, `argument` has found.
        if name is None or text.startswith("-") or _suspect("", text) is not None:
            continue
        if (suspect := _suspect(name, text)) is not None:
            yield credential(where, suspect, INSTEAD_OF_AN_ARGUMENT)


def variable(where: Path, found: EnvVar, _: datetime) -> Iterator[Finding]:
    """Require that a variable has a free name, and no credential as its value."""
    if found.name.startswith(OWN_ENV_PREFIXES):
        yield FieldError.forbidden((*where, "name"), f"{found.name} is set by the operator")
    suspect = _suspect(found.name, found.value or "")
    if suspect is not None:
        yield credential((*where, "value"), suspect, INSTEAD_OF_A_VALUE)


def variable_source(where: Path, found: EnvVar, _: datetime) -> Iterator[Finding]:
    """Require that a variable has one value."""
    source = found.value_from
    if source is None:
        return
    if found.value:
        yield FieldError.forbidden(
            (*where, "valueFrom"), "may not be specified when value is not empty"
        )
    yield from _exactly_one(
        (*where, "valueFrom"),
        {"configMapKeyRef": source.config_map_key_ref, "secretKeyRef": source.secret_key_ref},
    )


def _suspect(name: str, value: str) -> Suspect | None:
    if not value or _REFERENCE.fullmatch(value):
        return None
    return detect(name, _REFERRED_USER_INFO.sub("://", value))


def distinct_variables(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Require that a variable is declared once, also beside those for the exchange."""
    exchange, seen = spec.exchange, set()
    fields = (
        ("proxyURL", exchange.proxy_url, PROXY_ENV),
        ("caBundle", exchange.ca_bundle, CA_ENV),
    )
    own = {name: field for field, value, names in fields if value is not None for name in names}
    for index, found in enumerate((spec.pod and spec.pod.env) or ()):
        path = (*POD, "env", index, "name")
        if found.name in seen:
            yield FieldError.duplicate(path, found.name)
        elif found.name in own:
            yield FieldError.forbidden(
                path, f"{found.name} is set by the operator for spec.exchange.{own[found.name]}"
            )
        seen.add(found.name)


def variables_from(where: Path, found: EnvFrom, _: datetime) -> Iterator[Finding]:
    """Require that an entry has one source."""
    yield from _exactly_one(
        where, {"configMapRef": found.config_map_ref, "secretRef": found.secret_ref}
    )


def files(where: Path, found: Files, _: datetime) -> Iterator[Finding]:
    """Require that an entry has one source."""
    yield from _exactly_one(
        where,
        {
            "configMap": found.config_map,
            "secret": found.secret,
            "serviceAccountToken": found.service_account_token,
        },
    )


def _exactly_one(where: Path, sources: dict[str, object]) -> Iterator[Finding]:
    names = [name for name, source in sources.items() if source is not None]
    if not names:
        yield FieldError.required(where, f"must specify one of: {', '.join(sources)}")
    for name in names[1:]:
        yield FieldError.forbidden((*where, name), f"may not be specified beside {names[0]}")


def exchange_secret_env(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Reject a variable with a credential of the exchange, which the bot has already."""
    exchange = spec.exchange
    keys = exchange.key_paths.values()
    for index, found in enumerate((spec.pod and spec.pod.env) or ()):
        reference = found.value_from and found.value_from.secret_key_ref
        if reference and reference.name == exchange.api_key_secret and reference.key in keys:
            path = (*POD, "env", index, "valueFrom", "secretKeyRef", "key")
            yield FieldError.forbidden(path, EXCHANGE_KEYS)


def exchange_secret_variables(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Reject the Secret of the exchange as the source of all variables."""
    sources = [found.secret_ref for found in (spec.pod and spec.pod.env_from) or ()]
    yield from _exchange_secret(spec, sources, lambda index: ("envFrom", index, "secretRef"))


def exchange_secret_files(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Reject the Secret of the exchange as a directory of files."""
    sources = [found.secret for found in (spec.pod and spec.pod.files) or ()]
    yield from _exchange_secret(spec, sources, lambda index: ("files", index, "secret"))


def _exchange_secret(
    spec: TradingBotSpec, sources: list[SecretReference | None], place: Callable[[int], Path]
) -> Iterator[Finding]:
    for index, source in enumerate(sources):
        if source is not None and source.name == spec.exchange.api_key_secret:
            yield FieldError.forbidden((*POD, *place(index), "name"), EXCHANGE_KEYS)


def distinct_pull_secrets(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Require that a pull secret is named once."""
    names = [found.name for found in (spec.pod and spec.pod.image_pull_secrets) or ()]
    yield from duplicates(names, lambda index: (*POD, "imagePullSecrets", index, "name"))


def files_place(where: Path, found: Files, _: datetime) -> Iterator[Finding]:
    """Require a directory apart from those of the operator and the system."""
    yield from _place((*where, "mountPath"), found.mount_path)


def storage_place(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """Require the same of the volume."""
    if spec.pod is not None and spec.pod.storage is not None:
        yield from _place((*STORAGE, "mountPath"), spec.pod.storage.mount_path)


def _place(path: Path, mount: str) -> Iterator[Finding]:
    if own := _own_directory(mount):
        yield FieldError.invalid(path, mount, f"must not hide or be inside of {own}")


def mount_paths(spec: TradingBotSpec, _: datetime) -> Iterator[Finding]:
    """No mount hides another, and none would have to be made inside of a read-only one."""
    pod = spec.pod
    if pod is None:
        return
    directories = [found.mount_path for found in pod.files or ()]
    for index, mount in enumerate(directories):
        path = (*POD, "files", index, "mountPath")
        if mount in directories[:index]:
            yield FieldError.duplicate(path, mount)
        else:
            yield from _not_inside(path, mount, directories)
    if pod.storage is not None:
        path, mount = (*STORAGE, "mountPath"), pod.storage.mount_path
        if mount in directories:
            yield FieldError.invalid(path, mount, "must differ from every mountPath of files")
        else:
            yield from _not_inside(path, mount, directories)


def _not_inside(path: Path, mount: str, directories: list[str]) -> Iterator[Finding]:
    outer = next((o for o in directories if o != mount and _is_inside(mount, o)), None)
    if outer is not None and not _own_directory(mount):
        yield FieldError.invalid(path, mount, f"must not be inside of {outer}, a read-only one")


def _own_directory(mount: str) -> str | None:
    """Return the directory of the operator or of the system that a mount disturbs, if any.

    A mount below /tmp is fine: that is writable, so that a directory can be made for it.
    """
    for own in OWN_DIRECTORIES:
        if _is_inside(own, mount) or (own != "/tmp" and _is_inside(mount, own)):  # noqa: S108
            return own
    return next((found for found in _SYSTEM_PATHS if _is_inside(mount, found)), None)


def _is_inside(path: str, directory: str) -> bool:
    """Return whether `path` is `directory` or below it."""
    return commonpath((path, directory)) == directory


def has_doubles(pod: Pod) -> bool:
    """Whether the schema refuses `pod` for an item that is in a list twice."""
    lists = (
        [found.name for found in pod.image_pull_secrets or ()],
        [found.name for found in pod.env or ()],
        [found.mount_path for found in pod.files or ()],
        [(f.topology_key, f.when_unsatisfiable) for f in pod.topology_spread_constraints or ()],
    )
    return any(len(set(names)) < len(names) for names in lists)


def storage_update_errors(old: Pod | None, new: Pod | None) -> Iterator[FieldError]:
    """Require that a volume keeps its class, and never shrinks."""
    before, after = (pod.storage if pod is not None else None for pod in (old, new))
    if before is None or after is None:
        return
    if _shrinks(before, after):
        yield FieldError.invalid(STORAGE_SIZE, after.size, f"{SIZE_SHRINKS} (it was {before.size})")
    if before.storage_class_name != after.storage_class_name:
        yield FieldError.invalid(STORAGE_CLASS, after.storage_class_name or "", CLASS_IS_IMMUTABLE)


def _shrinks(before: Storage, after: Storage) -> bool:
    was, now = parse_quantity(before.size or ""), parse_quantity(after.size or "")
    return was is not None and now is not None and now < was


def _items(name: str) -> Path:
    return (*POD, name)


RULES = (
    *scheduling.RULES,
    ItemRule(_items("labels"), label),
    ItemRule(_items("annotations"), annotation),
    Rule(paths("pod.annotations"), annotations_size),
    ItemRule(_items("command"), argument),
    ItemRule(_items("args"), argument),
    Rule(paths("pod.command", "pod.args"), credentials_behind_flags),
    ItemRule(_items("env"), variable, needs=("name", "value")),
    ItemRule(_items("env"), variable_source, needs=("value", "valueFrom")),
    ItemRule(_items("envFrom"), variables_from, needs=("configMapRef", "secretRef")),
    ItemRule(_items("files"), files, needs=("configMap", "secret", "serviceAccountToken")),
    Rule(paths("pod.imagePullSecrets"), distinct_pull_secrets),
    Rule(paths("pod.env.*.name", "exchange.proxyURL", "exchange.caBundle"), distinct_variables),
    Rule(
        paths(
            "pod.env.*.valueFrom",
            "exchange.apiKeySecret",
            "exchange.apiKeyPath",
            "exchange.apiSecretPath",
            "exchange.passphrasePath",
        ),
        exchange_secret_env,
    ),
    Rule(paths("pod.envFrom.*.secretRef", "exchange.apiKeySecret"), exchange_secret_variables),
    Rule(paths("pod.files.*.secret", "exchange.apiKeySecret"), exchange_secret_files),
    ItemRule(_items("files"), files_place, needs=("mountPath",)),
    Rule(paths("pod.storage.mountPath"), storage_place),
    Rule(paths("pod.files.*.mountPath", "pod.storage.mountPath"), mount_paths),
)
