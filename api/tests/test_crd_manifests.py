"""The CRD manifests: complete, structural, and the ones that are in the repository."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from codegen import generate
from tradingbot_api.admission.fields import every_field
from tradingbot_api.admission.review import KINDS
from tradingbot_api.crds import crds, structural_schema

ROOT = Path(__file__).resolve().parents[2]
BASES = ROOT / "config" / "crd" / "bases"
OF_THE_API_SERVER = {".metadata"}
"""Described by the API server itself: a schema may say nothing of it."""


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside `schema`, by its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from schemas(inner, f"{path}.{name}")
    for key, step in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from schemas(schema[key], path + step)


EVERY = [
    (f"{kind}{path}", path, schema)
    for kind, definition in KINDS.items()
    for path, schema in schemas(structural_schema(definition.model))
]


@pytest.mark.parametrize(("name", "path", "schema"), EVERY, ids=[name for name, *_ in EVERY])
def test_a_field_says_what_it_is(name: str, path: str, schema: dict[str, Any]) -> None:
    if not path.endswith(("[]", "{}")) and path not in OF_THE_API_SERVER:
        assert schema.get("description", "").strip().endswith((".", "%"))


@pytest.mark.parametrize(("name", "path", "schema"), EVERY, ids=[name for name, *_ in EVERY])
def test_a_field_says_its_default(name: str, path: str, schema: dict[str, Any]) -> None:
    """`kubectl explain` shows the description only."""
    default = schema.get("default")
    if isinstance(default, str | int) and default != "":
        shown = str(default).lower() if isinstance(default, bool) else default
        assert schema["description"].endswith(f" Default: {shown}.")


@pytest.mark.parametrize(("name", "path", "schema"), EVERY, ids=[name for name, *_ in EVERY])
def test_a_schema_has_a_type_and_nothing_that_kubernetes_refuses(
    name: str, path: str, schema: dict[str, Any]
) -> None:
    assert "type" in schema or schema.get("x-kubernetes-int-or-string") is True
    assert not schema.keys() & {"title", "$ref", "$defs", "const", "oneOf", "allOf", "examples"}
    assert schema.get("additionalProperties") is not False
    assert "default" not in schema or schema["default"] is not None


@pytest.mark.parametrize(("name", "path", "schema"), EVERY, ids=[name for name, *_ in EVERY])
def test_what_a_user_writes_has_an_end(name: str, path: str, schema: dict[str, Any]) -> None:
    """Without bounds CEL rules cost too much, and one object can fill the API server."""
    if ".spec" not in path or "enum" in schema or "x-kubernetes-int-or-string" in schema:
        return
    bound = {
        "string": "maxLength",
        "array": "maxItems",
        "integer": "maximum",
        "object": "maxProperties" if "additionalProperties" in schema else "type",
        "boolean": "type",
    }
    assert bound[schema["type"]] in schema


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_has_the_fields_of_the_model_and_no_other(kind: str) -> None:
    model = KINDS[kind].model
    fields = {
        "".join("[]" if step == 0 else f".{step}" for step in path)
        for path, _ in every_field(model)
    }

    found = {
        path for path, _ in schemas(structural_schema(model)) if not path.endswith(("[]", "{}"))
    }

    assert found - fields == {"", ".apiVersion", ".kind", ".metadata"}
    assert fields <= found


@pytest.mark.parametrize("kind", KINDS)
def test_users_are_asked_for_a_spec_and_never_for_a_status(kind: str) -> None:
    schema = structural_schema(KINDS[kind].model)

    assert schema["required"] == ["spec"]
    assert schema["properties"]["status"]["default"] == {}


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_no_operator_has_observed_is_not_ready(kind: str) -> None:
    status = structural_schema(KINDS[kind].model)["properties"]["status"]["properties"]

    assert status["observedGeneration"]["default"] == -1
    (ready,) = status["conditions"]["default"]
    assert (ready["type"], ready["status"]) == ("Ready", "Unknown")
    assert set(ready) == set(status["conditions"]["items"]["required"])


def test_the_manifests_in_the_repository_are_those_that_the_models_make() -> None:
    stored = {
        crd["metadata"]["name"]: crd
        for crd in (yaml.safe_load(path.read_text()) for path in sorted(BASES.glob("*.yaml")))
    }

    assert stored == {crd["metadata"]["name"]: crd for crd in crds()}


def test_the_generated_files_are_in_the_repository_as_they_would_be_written_now() -> None:
    # Not one test for each: every worker would generate all files only to name the tests.
    for path, text in generate.generated().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, path


def test_check_names_the_files_that_are_stale_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)

    assert generate.main(["--check"]) == 1
    assert "config/crd/bases/trading.io_tradingbots.yaml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("TradingBot", "Strategy Exchange Mode Phase Day-PnL Ready Image Reason Age"),
        ("AssetRegistry", "Assets Active Failed Synced Age"),
    ],
)
def test_kubectl_get_shows_what_one_wants_to_know(kind: str, columns: str) -> None:
    (version,) = next(
        crd["spec"]["versions"] for crd in crds() if crd["spec"]["names"]["kind"] == kind
    )

    shown = [column["name"] for column in version["additionalPrinterColumns"]]

    assert shown == columns.split()
