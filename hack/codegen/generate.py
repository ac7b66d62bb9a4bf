"""Write every generated file, or check that none is stale.

python -m codegen.generate          writes the files
python -m codegen.generate --check  exits with 1 and lists the stale files
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml
from release.versions import with_version
from tradingbot_api.contract_schemas import contract_schemas
from tradingbot_api.crds import crds
from tradingbot_api.model import JsonObject
from tradingbot_api.reference import reference
from tradingbot_cli.doctor.expected import packaged
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.manifests import Config

from codegen.admission_rules import with_rules
from codegen.gateway_calls import coinbase_page
from codegen.gateway_calls import page as gateway_calls
from codegen.gateway_controls import with_controls
from codegen.helm_chart import templates
from codegen.kubernetes_types import TARGET, module
from codegen.strategy_parameters import with_parameters

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "config" / "samples"
# The directories of config/ that `tradingbot doctor` compares with a cluster.
INSTALLED = ("rbac", "certs", "webhook", "operator", "registry")
ADMISSION_PAGE = ROOT / "docs" / "admission.md"
GATEWAY_PAGE = ROOT / "docs" / "gateway.md"
STRATEGIES_PAGE = ROOT / "docs" / "strategies.md"
NOTE = "Generated from the models in api/ by `make generate`; do not edit."
HEADER = f"# {NOTE}\n"
HEALTH_SCRIPT = ROOT / "config" / "argocd" / "health.lua"
_ARGOCD_NOTE = """\
# Generated from health.lua by `make generate`; do not edit. Adds it to Argo CD for both kinds:
#   kubectl -n argocd patch configmap argocd-cm --type=merge --patch-file=argocd-cm.yaml
"""
FULL_EXAMPLE = "tradingbot-full.yaml"
EXAMPLES = {"TradingBot": "tradingbot.yaml", "AssetRegistry": "assetregistry.yaml"}


class _Dumper(yaml.SafeDumper):
    """Block style without anchors, with indented lists."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


class _Script(str):
    """Text that YAML shows line by line."""


_Dumper.add_representer(
    _Script, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
)


def generated() -> dict[Path, str]:
    """Return the content of each generated file, by its path in the repository."""
    files = {TARGET: module()}
    definitions, health = [], {}
    for crd in crds():
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        text = yaml.dump(crd, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
        definitions.append(text)
        health[f"resource.customizations.health.{group}_{crd['spec']['names']['kind']}"] = _Script(
            HEALTH_SCRIPT.read_text(encoding="utf-8")
        )
        files[Path(f"config/crd/bases/{group}_{plural}.yaml")] = HEADER + text
    files[Path("config/argocd/argocd-cm.yaml")] = _ARGOCD_NOTE + yaml.dump(
        {"data": health}, Dumper=_Dumper, sort_keys=False, allow_unicode=True
    )
    files |= templates(definitions)
    files[Path("docs/reference.md")] = f"<!-- {NOTE} -->\n{reference(_examples())}"
    files[Path("docs/admission.md")] = with_rules(ADMISSION_PAGE.read_text(encoding="utf-8"))
    files[Path("docs/gateway.md")] = with_controls(GATEWAY_PAGE.read_text(encoding="utf-8"))
    files[Path("docs/strategies.md")] = with_parameters(STRATEGIES_PAGE.read_text(encoding="utf-8"))
    files[Path("docs/gateway-binance.md")] = gateway_calls()
    files[Path("docs/gateway-coinbase.md")] = coinbase_page()
    for name, schema in contract_schemas(note=NOTE, config_example=_bot_json()).items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        files[Path("docs/schemas") / name] = text + "\n"
    copied = "Copied from the manifests in config/ by `make generate`; do not edit."
    files[Path("cli/tradingbot_cli/doctor/installation.json")] = packaged(_installed(), note=copied)
    return files | with_version(files)


def _installed() -> list[JsonObject]:
    """Return the manifests of the INSTALLED directories, in the order of their files."""
    paths = [path for name in INSTALLED for path in sorted((ROOT / "config" / name).glob("*.yaml"))]
    return [
        manifest
        for path in paths
        for manifest in yaml.safe_load_all(path.read_text("utf-8"))
        if manifest and "metadata" in manifest
    ]


def _examples() -> dict[str, str]:
    """Return the samples that introduce each kind on the reference page."""
    return {kind: (SAMPLES / name).read_text("utf-8") for kind, name in EXAMPLES.items()}


def _bot_json() -> JsonObject:
    """Return the bot.json that the operator writes for the sample with every field."""
    manifest = yaml.safe_load((SAMPLES / FULL_EXAMPLE).read_text("utf-8"))
    manifest["metadata"].setdefault("namespace", "default")
    # Checks that depend on the time only warn, so any time will do.
    bot = Bot.read(manifest, now=datetime(2026, 1, 1, tzinfo=UTC))
    if bot.spec is None:
        raise SystemExit(f"{FULL_EXAMPLE} is invalid: {', '.join(bot.invalid_fields)}")
    body: JsonObject = json.loads(Config.declared(bot, bot.spec).text())
    return body


def main(arguments: list[str]) -> int:
    """Write or check the files. Return the exit status."""
    stale = []
    for path, text in generated().items():
        target = ROOT / path
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path))
        if "--check" not in arguments:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        print(f"stale generated files: {', '.join(stale)}; run `make generate`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
