"""Generate the rules in docs/admission.md from the corpus: rule, example, message."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CORPUS = Path(__file__).resolve().parents[2] / "api" / "tests" / "corpus"
FILES = (
    "tradingbot.yaml",
    "tradingbot-pod.yaml",
    "tradingbot-gateway.yaml",
    "tradingbot-strategies.yaml",
    "assetregistry.yaml",
)
BEGIN = "<!-- Generated from api/tests/corpus by `make generate`; do not edit from here -->\n"
END = "<!-- to here -->\n"
LAYERS = {"schema": "refused by the schema already", "review": "refused by the webhooks"}

Row = dict[str, Any]


def with_rules(page: str) -> str:
    """Return the page with the part between the two marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{_rules()}\n{END}{after}"


def _rules() -> str:
    return "\n".join(line for name in FILES for line in _kind(_corpus(name)))


def _corpus(name: str) -> Row:
    loaded: Row = yaml.safe_load((CORPUS / name).read_text(encoding="utf-8"))
    return loaded


def _kind(corpus: Row) -> Iterator[str]:
    by_field: dict[str, list[Row]] = defaultdict(list)
    for row in corpus["cases"]:
        for text in (*row.get("errors", ()), *row.get("warnings", ()))[:1]:
            by_field[_field(text)].append(row)
    yield f"### {corpus.get('title', corpus['base']['kind'])}\n"
    for field, rows in by_field.items():
        yield f"#### `{field}`\n"
        yield from map(_entry, rows)
        yield ""


def _field(text: str) -> str:
    """Return the field of a finding, without the numbers and keys of items."""
    return re.sub(r"\[[^]]*\]", "[]", text.split(": ", maxsplit=1)[0])


def _entry(row: Row) -> str:
    example = [f"`{path}: {_flow(value)}`" for path, value in row.get("set", {}).items()]
    example += [f"no `{path}`" for path in row.get("remove", ())]
    lines = [f"- {row['name']}: {', '.join(example)}  "]
    findings = [f"  `{text}`  " for text in (*row.get("errors", ()), *row.get("warnings", ()))]
    outcome = LAYERS.get(row.get("refused by", ""), "a warning")
    return "\n".join([*lines, f"  {outcome}:  ", *findings]).rstrip()


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return " ".join(text.removesuffix("...\n").split())
