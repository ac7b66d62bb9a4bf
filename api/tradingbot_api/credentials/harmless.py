"""Values that carry no secret, whatever their name: references, placeholders, masks and switches.

`${TOKEN}` and `vault:secret/bot` say where the secret is, and people keep them in manifests for
that reason. A placeholder with a default, `${TOKEN:-hunter2}`, does carry one.
"""

import re

_PATH = r"[A-Za-z0-9_./:#@?=&,\-]{1,256}"
_NOTHING = (
    r"(?i:true|false|yes|no|on|off|null|none|n/a)",
    r"\*{3,64}|[xX]{4,64}|\.{3,8}|(?i:\[redacted\]|\(not shown\))|<[^<>]{1,128}>",
)
"""Switches and masks."""
_PLACEHOLDERS = (
    r"\$\{(?:(?:env|file|vault|secret|ssm|sm|aws|gcp)[:.])?[A-Za-z0-9_./#\-]{1,200}:?[-?]?\}",
    r"\$\([A-Za-z0-9_.\-]{1,128}\)|\$[A-Za-z_][A-Za-z0-9_]{0,127}|\$[0-9]{1,3}",
    r"%[A-Za-z_][A-Za-z0-9_]{0,127}%|%\([A-Za-z_]\w{0,63}\)s|%s|[?]|:[a-z_]{1,64}|@[A-Z_]{2,64}@",
    r"\{\{[^{}]{1,256}\}\}|<%[^<>%]{1,256}%>|\{[A-Za-z_][A-Za-z0-9_.]{0,63}\}",
    r"!(?:secret|env_var|vault) \S{1,256}",
)
"""Of shells, templates, statements and configuration languages."""
_REFERENCES = (
    f"(?:vault|op|env|secretref|secretRef|secretKeyRef|ref|k8s|kubernetes|ssm|awssm|sm):{_PATH}",
    f"(?:gcpsm|gsm|azurekeyvault|keyvault|keyring|bws|doppler|sops|conjur|infisical):{_PATH}",
    rf"(?:ref\+[a-z0-9]{{1,32}}|secret|secrets|awssm|aws-sm|gcp-sm|azure-kv|file)://{_PATH}",
    rf"arn:aws[a-z\-]{{0,8}}:(?:secretsmanager|ssm):{_PATH}",
    rf"projects/[a-z0-9\-]{{1,64}}/secrets/{_PATH}",
    rf"https://[a-z0-9\-]{{1,64}}\.vault\.azure\.net/secrets/{_PATH}",
    r"@Microsoft\.KeyVault\([^()]{1,512}\)",
    r"ENC\[[^\[\]]{1,1000}\]|\{cipher\}[A-Za-z0-9+/=]{1,1000}",
    r"(?:/(?:run|var|etc|mnt|secrets|vault|opt|home|tmp|usr|srv|app)|\.\.?|~)/[A-Za-z0-9_./\-]{1,512}",
    r"[A-Za-z0-9_./\-]{1,256}\.(?:pem|key|crt|p12|pfx|jks|json|ya?ml|txt|env)",
)
"""To stores of secrets, to files, and what only its own tool can decrypt."""
_HARMLESS = re.compile("|".join((*_NOTHING, *_PLACEHOLDERS, *_REFERENCES)))
_LONGEST = 1024
_MEASURE = re.compile(
    r"-?(?:[0-9]{1,4}|[0-9]{1,12}\.[0-9]{1,8}|[0-9]{1,12}(?:\.[0-9]{1,8})?(?:%|bps|ms|s|m|h|d))",
    re.ASCII,
)
"""Long whole numbers may be a token: of a pager, of a text message."""
_TICKER_OR_ADDRESS = re.compile(r"[A-Z][A-Z0-9]{1,5}|1INCH|0x[0-9a-fA-F]{40}")


def carries_no_secret(value: str) -> bool:
    """Return whether `value` is empty, or says where a secret is, or that there is one."""
    if len(value) > _LONGEST:
        return False
    value = value.strip(" \t\r\n\f\"'")
    return not value or _HARMLESS.fullmatch(value) is not None


def is_asset(value: str) -> bool:
    """Return whether `value` is the ticker or the address of an asset on a chain."""
    return _TICKER_OR_ADDRESS.fullmatch(value) is not None


def is_measure(value: str) -> bool:
    """Return whether `value` is a number, also with the unit of a share or a time."""
    return _MEASURE.fullmatch(value.strip()) is not None
