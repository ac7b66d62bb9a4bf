"""Writes every generated file, or checks that none is stale.

python hack/generate.py            writes them
python hack/generate.py --check    exits 1 and names those that differ
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml
from admission_rules import with_rules
from helm_chart import templates
from tradingbot_api.contract_schemas import contract_schemas
from tradingbot_api.crds import crds
from tradingbot_api.model import JsonObject
from tradingbot_api.reference import reference
from tradingbot_cli.doctor.expected import packaged
from tradingbot_operator.bot import Bot
from tradingbot_operator.desired import Config

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "config" / "samples"
# What is installed, as far as `tradingbot doctor` compares it with a cluster.
INSTALLED = ("rbac", "secret-warning/rbac", "certs", "webhook", "operator", "registry")
ADMISSION_PAGE = ROOT / "docs" / "admission.md"
NOTE = "Generated from the models in api/ by `make generate`; do not edit."
HEADER = f"# {NOTE}\n"
FULL_EXAMPLE = "tradingbot-full.yaml"
EXAMPLES = {"TradingBot": "tradingbot.yaml", "AssetRegistry": "assetregistry.yaml"}


class _Dumper(yaml.SafeDumper):
    """Block style without anchors, lists indented as people write them."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def generated() -> dict[Path, str]:
    """The content of each generated file, by its path in the repository."""
    files = {}
    definitions = []
    for crd in crds():
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        text = yaml.dump(crd, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
        definitions.append(text)
        files[Path(f"config/crd/bases/{group}_{plural}.yaml")] = HEADER + text
    files |= templates(definitions)
    files[Path("docs/reference.md")] = f"<!-- {NOTE} -->\n{reference(_examples())}"
    files[Path("docs/admission.md")] = with_rules(ADMISSION_PAGE.read_text(encoding="utf-8"))
    for name, schema in contract_schemas(note=NOTE, config_example=_bot_json()).items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        files[Path("docs/schemas") / name] = text + "\n"
    copied = "Copied from the manifests in config/ by `make generate`; do not edit."
    files[Path("cli/tradingbot_cli/doctor/installation.json")] = packaged(_installed(), note=copied)
    return files


def _installed() -> list[JsonObject]:
    """The manifests of those folders of config/, in the order of their files."""
    paths = [path for name in INSTALLED for path in sorted((ROOT / "config" / name).glob("*.yaml"))]
    return [
        one
        for path in paths
        for one in yaml.safe_load_all(path.read_text("utf-8"))
        if one and "metadata" in one
    ]


def _examples() -> dict[str, str]:
    """The samples that the reference page begins its kinds with."""
    return {kind: (SAMPLES / name).read_text("utf-8") for kind, name in EXAMPLES.items()}


def _bot_json() -> JsonObject:
    """The bot.json that the operator makes of the sample with every field."""
    manifest = yaml.safe_load((SAMPLES / FULL_EXAMPLE).read_text("utf-8"))
    manifest["metadata"].setdefault("namespace", "default")
    # What is checked against the time only warns.
    bot = Bot.read(manifest, now=datetime(2026, 1, 1, tzinfo=UTC))
    if bot.spec is None:
        raise SystemExit(f"{FULL_EXAMPLE} is invalid: {', '.join(bot.invalid_fields)}")
    body: JsonObject = json.loads(Config.declared(bot, bot.spec).text())
    return body


def main(arguments: list[str]) -> int:
    """Write or check; the exit status."""
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
