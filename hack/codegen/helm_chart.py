"""Generate the templates of the Helm chart: the manifests of `config/`, with some values replaced.

The input is the text of the manifests and not their parsed content, so that their comments are
kept. A pattern that is not found raises ValueError: the manifest has a form that this module does
not know. config/tests/test_helm_chart.py compares the rendered objects with those of `config/`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).resolve().parents[2] / "config"
TEMPLATES = Path("charts/tradingbot-operator/templates")
HEADER = "{{- /* Made from config/ by `make generate`; do not edit. */ -}}\n"
# Each directory of config/ becomes one template, under its condition if it has one.
DIRECTORIES = {
    "rbac": "",
    "certmanager": "$.Values.certManager.enabled",
    "certs": "not $.Values.certManager.enabled",
    "webhook": "",
    "registry": "",
    "operator": "",
    "network-policy": "$.Values.networkPolicy.enabled",
    "prometheus": "$.Values.prometheus.enabled",
    "gateway-metrics": "$.Values.prometheus.gateways",
}
NAMESPACE = "tradingbot-system"
# The user sets the number of replicas. The others must have one.
REPLICATED = {"operator", "webhooks"}
# These check the parameters of bots that run a built-in strategy.
CHECKING = REPLICATED
# If the user names namespaces, these roles are bound in those alone.
CONFINED = {"tradingbot-operator"}
# An uninstallation keeps these: bots or data would be deleted with them.
KEPT = {"CustomResourceDefinition", "Namespace", "PersistentVolumeClaim"}
MONITORING = "monitoring.coreos.com/"

LABELS = '{{- include "tradingbot-operator.labels" $ | nindent 4 }}'
MONITORING_LABELS = """\
    {{- with $.Values.prometheus.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
"""
INJECTION = """\
  {{{{- if $.Values.certManager.enabled }}}}
  annotations:
    {annotation}
  {{{{- end }}}}
"""
POD_SETTINGS = (
    '      {{- with include "tradingbot-operator.pod" $ | trim }}{{ nindent 6 . }}{{ end }}\n'
)
WATCHED_NAMESPACES = """\
            {{- with $.Values.namespaces }}
            - --namespaces={{ join "," . }}
            # The operator may not read its own pod, which has the image, in another namespace.
            - --gateway-image={{ include "tradingbot-operator.image" $ }}
            {{- end }}
"""
STRATEGY_IMAGES = r'\g<1>{{ join "," $.Values.strategyImages | quote }}'
LAST_ARGUMENT = "            - --log-format=json"
STORAGE_CLASS = """\
  {{- with $.Values.registry.storage.className }}
  storageClassName: {{ . }}
  {{- end }}
"""
POSTGRESQL = "$.Values.registry.postgresql.secretName"
"""The name of the Secret with the database's URL and password. Empty: SQLite on a volume."""
BINDING_KIND = "{{ if . }}RoleBinding{{ else }}ClusterRoleBinding{{ end }}"
BINDING_NAMESPACE = """\
  {{- with . }}
  namespace: {{ . }}
  {{- end }}
"""


def templates(definitions: Iterable[str]) -> dict[Path, str]:
    """Return the content of each template, by its path in the repository.

    `definitions` are the manifests of the CRDs. Raises ValueError.
    """
    texts = {"crd": _template(definitions, "$.Values.crds.enabled")}
    for directory, when in DIRECTORIES.items():
        texts[directory.replace("/", "-")] = _template(_documents(directory), when)
    return {TEMPLATES / f"{name}.yaml": text for name, text in texts.items()}


def _template(documents: Iterable[str], when: str) -> str:
    body = "".join(_parameterized(document) for document in documents)
    return HEADER + (f"{{{{- if {when} }}}}\n{body}{{{{- end }}}}\n" if when else body)


def _documents(directory: str) -> Iterator[str]:
    """Yield the manifests of a kustomization, each with the comment above it."""
    kustomization = yaml.safe_load((CONFIG / directory / "kustomization.yaml").read_text("utf-8"))
    for name in kustomization["resources"]:
        yield from (CONFIG / directory / name).read_text("utf-8").split("\n---\n")


def _parameterized(document: str) -> str:
    """Return a document of a template, generated from a manifest."""
    found = yaml.safe_load(document)
    kind, name = found["kind"], found["metadata"]["name"]
    text = re.sub(
        r"{{ .*? }}", r"{{`\g<0>`}}", document.rstrip("\n") + "\n"
    )  # Prometheus's templates
    text = text.replace(NAMESPACE, "{{ $.Release.Namespace }}")
    text = _labelled(text, found)
    if kind in KEPT:
        text = _in_metadata(text, "  annotations:\n    helm.sh/resource-policy: keep\n")
    match kind:
        case "Namespace":
            return _wrapped(text, "if $.Values.createNamespace")
        case "Deployment":
            text = _deployment(text, found["metadata"]["labels"]["app.kubernetes.io/component"])
        case "PersistentVolumeClaim":
            text = _after(text, "spec:", STORAGE_CLASS)
            text = _set(text, "storage", "$.Values.registry.storage.size")
            return _wrapped(text, f"if not {POSTGRESQL}")
        case "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration":
            text = _in_metadata(text, INJECTION.format(annotation=_injection()))
        case "ClusterRoleBinding" if name in CONFINED:
            text = _replaced(text, "^kind: ClusterRoleBinding$", f"kind: {BINDING_KIND}")
            text = _in_metadata(text, BINDING_NAMESPACE)
            return _wrapped(text, 'range $.Values.namespaces | default (list "")')
    return "---\n" + text


def _deployment(text: str, component: str) -> str:
    values = f"$.Values.{component}"
    text = _set(text, "image", 'include "tradingbot-operator.image" $')
    text = _set(text, "imagePullPolicy", "$.Values.image.pullPolicy")
    text = _after(text, f"      serviceAccountName: tradingbot-{component}", POD_SETTINGS)
    resources = (
        f"          resources:\n            {{{{- toYaml {values}.resources | nindent 12 }}}}\n"
    )
    text = _replaced(text, r"^ {10}resources:\n(?: {11,}.*\n)+", resources)
    if component in REPLICATED:
        text = _set(text, "replicas", f"{values}.replicas")
    if component in CHECKING:
        text = _replaced(text, r"^( *value: )tradingbot-strategies$", STRATEGY_IMAGES)
    if component == "operator":
        text = _after(text, LAST_ARGUMENT, WATCHED_NAMESPACES)
    if component == "registry":
        text = _registry(text)
    return text


def _registry(text: str) -> str:
    """Return the Deployment with what config/postgresql changes, if the values name a Secret."""
    patch = (CONFIG / "postgresql/registry.yaml").read_text("utf-8")
    patch = patch.replace("tradingbot-registry-database", f"{{{{ {POSTGRESQL} }}}}")
    patch = patch.replace("replicas: 2", "replicas: {{ $.Values.registry.replicas }}")
    for ours, theirs in (
        (r"(?: *#.*\n)?  replicas:.*\n  strategy:\n(?: {4,}.*\n)+", None),
        (r"            - --database-url=.*\n", ""),
        (
            r"            - name: data\n(?: {14}.*\n)+",
            r"            - name: database\n(?: {14}.*\n)+",
        ),
        (r"        - name: data\n(?: {10}.*\n)+", r"        - name: database\n(?: {10}.*\n)+"),
    ):
        other = "" if theirs == "" else _found(patch, theirs or ours)
        text = _with(text, ours, _either(other, _found(text, ours)))
    for before, added in (
        (
            r"      # For running requests, ",
            r"      # The loss of one(?:.*\n)+?(?=      containers:)",
        ),
        (r"          ports:", r"          env:\n(?:.*\n)+?(?=          volumeMounts:)"),
    ):
        text = _with(text, f"(?={before})", _either(_found(patch, added), ""))
    return text


def _with(text: str, pattern: str, block: str) -> str:
    return _replaced(text, f"^{pattern}", block.replace("\\", r"\\"))


def _either(postgresql: str, sqlite: str) -> str:
    if not postgresql:
        return f"{{{{- if not {POSTGRESQL} }}}}\n{sqlite}{{{{- end }}}}\n"
    other = f"{{{{- else }}}}\n{sqlite}" if sqlite else ""
    return f"{{{{- if {POSTGRESQL} }}}}\n{postgresql}{other}{{{{- end }}}}\n"


def _found(text: str, pattern: str) -> str:
    """Return the match of the pattern. Raises ValueError if there is none."""
    found = re.search(f"^{pattern}", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{pattern!r} was not found in:\n{text}")
    return found[0]


def _labelled(text: str, manifest: dict[str, Any]) -> str:
    labels = f"    {LABELS}\n"
    if manifest["apiVersion"].startswith(MONITORING):
        labels += MONITORING_LABELS
    if "labels" in manifest["metadata"]:
        return _after(text, "  labels:", labels)
    return _in_metadata(text, f"  labels:\n{labels}")


def _injection() -> str:
    """Return the annotation that config/certmanager adds, as a line."""
    kustomization = yaml.safe_load((CONFIG / "certmanager/kustomization.yaml").read_text("utf-8"))
    (added,) = yaml.safe_load(kustomization["patches"][0]["patch"])
    ((key, value),) = added["value"].items()
    return f"{key}: {value}".replace(NAMESPACE, "{{ $.Release.Namespace }}")


def _in_metadata(text: str, added: str) -> str:
    """Insert after the name, and after the namespace if there is one."""
    names = r"^metadata:\n  name: .*\n(?:  namespace: .*\n)?"
    return _replaced(text, names, rf"\g<0>{added}")


def _wrapped(text: str, action: str) -> str:
    return f"{{{{- {action} }}}}\n---\n{text}{{{{- end }}}}\n"


def _set(text: str, key: str, expression: str) -> str:
    """Replace the value of a key by an expression."""
    return _replaced(text, rf"^( *(?:- )?{key}: ).+$", rf"\g<1>{{{{ {expression} }}}}")


def _after(text: str, line: str, added: str) -> str:
    return _replaced(text, rf"^{re.escape(line)}\n", f"{line}\n{added}")


def _replaced(text: str, pattern: str, replacement: str) -> str:
    """Replace the only match of the pattern. Raises ValueError unless there is exactly one."""
    text, found = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    if found != 1:
        raise ValueError(f"{pattern!r} was found {found} times, not once, in:\n{text}")
    return text
