"""The tour that `make up` ends with. Everything in it is read from the running system."""

import copy
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from tradingbot_dev.control_plane.apiclient import http_answer
from tradingbot_dev.control_plane.plane import kubectl_path
from tradingbot_dev.product import demo_view, manifests
from tradingbot_dev.product.demo import Demo
from tradingbot_dev.product.demo_view import Halt, Refusal, View
from tradingbot_dev.product.manifests import ROOT, Manifest
from tradingbot_dev.product.system import System

_CHILDREN = "deployments,configmaps,services"
_ASSETS = "/api/v1/assets"
_BOLD, _END = "\033[1m", "\033[0m"
# The fields of the invalid variant of the sample.
_INVALID = {"stopLossPercentage": "150", "maxPositionSize": "0"}


def whole(system: System) -> str:
    """Return what admission, the operator and the registry did with the samples."""
    sample = manifests.load(manifests.SAMPLE_BOT)
    sections = (
        _section(
            "Admission filled in the defaults of the sample bot",
            f"$ kubectl apply -f {_relative(manifests.SAMPLE_BOT)}",
            _table(_filled_in(system, sample)),
        ),
        _section(
            "The operator created the bot's resources, and restores them if they change",
            f"$ kubectl get {_CHILDREN} -l {_label(sample)}",
            _children(system, sample),
        ),
        _section(
            "Invalid bots are rejected",
            "the same bot with "
            + ", ".join(f'{name}: "{value}"' for name, value in _INVALID.items()),
            _refusal(system, sample),
        ),
        _section(
            "The bot and the assets of the sample AssetRegistry are in the registry",
            f"GET {system.registry_url}{_ASSETS}: name, type, effective status",
            _table(_assets(system)),
        ),
    )
    return "\n" + "\n".join((*sections, demo_text(demo_view.observe(Demo(system)))))


def demo_text(view: View) -> str:
    """Return what the bots of the demo do, and what became of those that are halted."""
    rows = [demo_view.HEADINGS, *(line.cells for line in view.bots)]
    hint = "to end the crash: make calm" if view.fallen else "to let the market fall: make crash"
    bots = _section(
        "Four bots trade on simulated exchanges", _table(rows), "\n".join(view.prices), hint
    )
    return "\n".join((bots, *map(_refusal_text, view.refusals), *map(halt_text, view.halts)))


def _refusal_text(refusal: Refusal) -> str:
    """Return an order beyond a limit, as the bot and as its gateway tell it."""
    return _section(
        f"An order of {refusal.bot} is refused",
        f"$ kubectl logs deploy/{refusal.bot} --tail=2",
        "\n".join(refusal.logged),
        f"$ tradingbot orders {refusal.bot} --only refusals | tail -n 1",
        refusal.row,
    )


def halt_text(halt: Halt) -> str:
    """Return why a bot is halted, when it resumes, and what became of its account."""
    return _section(f"{halt.bot} is halted", "\n".join(demo_view.halt_lines(halt)))


def places(system: System) -> str:
    """Return the addresses and files of the running system, and how to stop it."""
    plane = system.plane
    rows = [
        ("kubeconfig", f"export KUBECONFIG={quote(str(plane.kubeconfig))}"),
        ("kubectl", f"export PATH={quote(str(Path(kubectl_path()).parent))}:$PATH"),
        ("registry", f"{system.registry_url}{_ASSETS}"),
        ("assets, bots", f"{system.registry_url}/"),
        ("Swagger UI", f"{system.registry_url}/api/v1/docs"),
        *((exchange.dialect, exchange.url) for exchange in Demo(system).exchanges.all),
        ("logs", str(plane.table.log)),
        ("watch", "make tour (q leaves), or: kubectl get tbot --watch"),
        ("crash", "make crash lets the market fall; make calm ends it"),
        ("stop", "make down (keeps the state), make clean (removes it)"),
    ]
    return _section("Addresses and files", _table(rows))


def filled_in(given: Any, stored: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and value of each field of `stored` that is absent or different in `given`."""
    if isinstance(stored, dict) and isinstance(given, dict | None):
        for name, value in stored.items():
            below = f"{path}.{name}" if path else name
            yield from filled_in((given or {}).get(name), value, below)
    elif given != stored:
        yield path, stored if isinstance(stored, str) else json.dumps(stored)


def _filled_in(system: System, sample: Manifest) -> list[tuple[str, str]]:
    name = sample["metadata"]["name"]
    stored = json.loads(_kubectl(system, "get", "tradingbot", name, "--output=json") or "{}")
    given = {"spec": sample["spec"]}
    effective = stored.get("status", {}).get("effective", {})
    filled = [
        *filled_in(given, {"spec": stored.get("spec", {})}),
        *filled_in({}, {"status": {"effective": effective}}),
    ]
    return [(path, value) for path, value in filled if value not in ("[]", "{}")]


def _children(system: System, sample: Manifest) -> str:
    shown = _kubectl(system, "get", _CHILDREN, f"--selector={_label(sample)}")
    return "\n".join(line for line in shown.splitlines() if line)


def _label(sample: Manifest) -> str:
    return f"trading.io/bot={sample['metadata']['name']}"


def _refusal(system: System, sample: Manifest) -> str:
    invalid = copy.deepcopy(sample)
    invalid["metadata"]["name"] += "-invalid"
    invalid["spec"]["riskManagement"].update(_INVALID)
    done = system.plane.kubectl(
        *("apply", "--dry-run=server", "--filename", "-"), stdin=manifests.text([invalid])
    )
    return (done.stderr or done.stdout).strip()


def _assets(system: System) -> list[tuple[str, ...]]:
    answer = http_answer(system.plane.ports.registry, _ASSETS)
    if answer is None or answer.status != 200:
        return []
    listed = answer.json()
    assets = listed if isinstance(listed, list) else listed.get("items", [])
    return [(asset["name"], asset["type"], asset["effectiveStatus"]) for asset in assets]


def _kubectl(system: System, *arguments: str) -> str:
    done = system.plane.kubectl(*arguments)
    return done.stdout if done.returncode == 0 else ""


def _section(title: str, *bodies: str) -> str:
    indented = "\n".join(f"  {line}" for body in bodies for line in body.splitlines())
    return f"{_styled(title, _BOLD)}\n{indented}\n"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the rows as text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _styled(text: str, code: str) -> str:
    plain = "NO_COLOR" in os.environ or not sys.stdout.isatty()
    return text if plain else f"{code}{text}{_END}"
