"""pip's settings for its package index, for a build that has to reach the same index.

A build gets them as secrets: they are neither in a Dockerfile nor in an image.
"""

import ast
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

CONFIG, AUTHORITIES = "pip.conf", "pip-ca.pem"
# The path of the secret in a build.
_AUTHORITIES_IN_BUILD = f"/run/secrets/{AUTHORITIES}"
_KEPT = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
_RANKS = {"global": 0, "install": 1, ":env:": 2}


def pip_settings(listing: str) -> dict[str, str]:
    """Parse the output of `pip config list`. The environment overrides files."""
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        name, separator, value = line.partition("=")
        section, _, option = name.rpartition(".")
        rank = _RANKS.get(section)
        if separator and rank is not None and rank >= found.get(option, (-1, ""))[0]:
            found[option] = (rank, str(ast.literal_eval(value)))
    settings = {option: value for option, (_, value) in found.items()}
    if "default-timeout" in settings:
        settings.setdefault("timeout", settings["default-timeout"])
    return settings


def pip_conf(settings: Mapping[str, str], *, authorities: bool) -> str:
    """Return a pip.conf with the settings that concern the index.

    With `authorities` the build has the secret AUTHORITIES. Otherwise pip uses its own.
    """
    lines = [f"{name} = {settings[name]}" for name in _KEPT if name in settings]
    if authorities:
        lines.append(f"cert = {_AUTHORITIES_IN_BUILD}")
    return "\n".join(["[global]", *lines, ""])


@contextmanager
def index_secrets() -> Iterator[dict[str, Path]]:
    """Write the secrets for a build, and yield their paths by id."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,  # without pip there are no settings
    ).stdout
    settings = pip_settings(listing)
    named = settings.get("cert") or ssl.get_default_verify_paths().cafile
    bundle = Path(named) if named and Path(named).exists() else None
    with TemporaryDirectory() as directory:
        config = Path(directory, CONFIG)
        config.write_text(pip_conf(settings, authorities=bundle is not None))
        yield {CONFIG: config} | ({AUTHORITIES: bundle} if bundle else {})
