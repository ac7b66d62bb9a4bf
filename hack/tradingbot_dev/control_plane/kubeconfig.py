"""Kubeconfig files for the local API server."""

import base64
import os
from pathlib import Path
from typing import Any

import yaml


def write_kubeconfig(
    path: Path,
    *,
    server: str,
    ca: Path,
    certificate: Path | None = None,
    key: Path | None = None,
    token: str | None = None,
    user: str,
) -> None:
    """Write a self-contained kubeconfig with mode 0600, atomically, unless it is unchanged."""
    credentials: dict[str, str] = {}
    if certificate is not None and key is not None:
        credentials["client-certificate-data"] = _base64(certificate)
        credentials["client-key-data"] = _base64(key)
    if token is not None:
        credentials["token"] = token
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tradingbot",
        "clusters": [
            {
                "name": "tradingbot",
                "cluster": {"server": server, "certificate-authority-data": _base64(ca)},
            }
        ],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "tradingbot", "context": {"cluster": "tradingbot", "user": user}}],
    }
    text = yaml.safe_dump(content, sort_keys=False)
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
