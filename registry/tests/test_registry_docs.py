"""The OpenAPI document, and what is measured."""

import re
from collections.abc import Iterator
from typing import Any

import marshmallow as ma
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from registry_harness import ASSETS, Api
from tradingbot_registry.refusals import RefusedError
from tradingbot_registry.rest.problems import KINDS, HTTPError
from tradingbot_registry.rest.schema import Schema
from tradingbot_registry.storage.engine import Database

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def database(sqlite_file: Database) -> Database:
    """One kind is enough: nothing here depends on it."""
    return sqlite_file


@pytest.fixture
def document(api: Api) -> Any:
    return api.client.get("/api/v1/openapi.json").json


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                shared = item.get("parameters", [])
                merged = {**operation, "parameters": operation.get("parameters", []) + shared}
                yield f"{method} {path}", merged


def test_the_document_is_valid_openapi(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_every_route_for_assets_is_in_the_document(api: Api, document: Any) -> None:
    rules = api.client.application.url_map.iter_rules()
    served = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) for rule in rules}
    pages = ("/api/v1/docs", "/api/v1/openapi")
    assert set(document["paths"]) == {
        path for path in served if path.startswith("/api/") and not path.startswith(pages)
    }


def test_every_operation_field_and_parameter_is_explained(document: Any) -> None:
    silent = [name for name, operation in operations(document) if not operation.get("summary")]
    for name, operation in operations(document):
        assert operation["operationId"]
        silent += [
            f"{name} {parameter['name']}"
            for parameter in operation["parameters"]
            if not parameter.get("description")
        ]
    for schema, body in document["components"]["schemas"].items():
        silent += [
            f"{schema}.{field}"
            for field, value in body["properties"].items()
            if not (value.get("description") or "$ref" in value)
        ]
    assert silent == []


def test_every_operation_documents_its_problems_with_examples(document: Any) -> None:
    for name, operation in operations(document):
        problems = {code: answer for code, answer in operation["responses"].items() if code >= "4"}
        assert {"401", "403", "422", "500", "503"} <= set(problems), name
        for answer in problems.values():
            content = answer["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert content["examples"]


def test_the_example_of_a_new_asset_works_as_it_stands(api: Api, document: Any) -> None:
    fields = document["components"]["schemas"]["Create"]["properties"]
    body = {
        name: field["example"]
        for name, field in fields.items()
        if "example" in field and not field.get("readOnly")
    }
    assert api.client.post(ASSETS, json=body).status_code == 201


def conforms(document: Any, schema: str, answer: Any) -> None:
    """Raise unless the answer is as the document says, and every field of it is documented."""
    found = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    OAS31Validator(found).validate(answer)
    described = document["components"]["schemas"][schema]
    assert answer.keys() <= described["properties"].keys()


def test_answers_are_as_the_document_says(api: Api, document: Any) -> None:
    cause = api.add("cause", status="Failed")
    asset = api.add("asset", cause["id"], "crd/default/late", secretRef={"name": "s", "key": "k"})
    owned = api.upsert("crd/default/a", managedBy="crd").json
    for answer in (cause, asset, owned, *api.client.get(ASSETS).json):
        conforms(document, "Asset", answer)
    path = f"{ASSETS}/{asset['id']}"
    for step in api.client.get(f"{path}/dependencies").json:
        conforms(document, "Reached", step)
    conforms(document, "Deletion", api.client.delete(f"{path}?dry_run=true").json)
    for schema in ("Asset", "Reached", "Reference", "Deletion"):
        described = document["components"]["schemas"][schema]
        assert set(described["required"]) == set(described["properties"])


def test_what_is_answered_may_be_sent_as_the_document_says(api: Api, document: Any) -> None:
    """Read-only fields are documented, since the document forbids all others."""
    asset = api.add("asset", "crd/default/late")
    owned = api.upsert("crd/default/a", managedBy="crd").json
    for schema, answer in (("Replace", asset), ("Patch", asset), ("Upsert", owned)):
        described = document["components"]["schemas"][schema]
        assert described["additionalProperties"] is False
        assert answer.keys() == described["properties"].keys()
        read_only = {key for key, value in described["properties"].items() if value.get("readOnly")}
        assert read_only >= {"id", "version", "effectiveStatus", "causedBy", "unresolved"}
        assert not read_only & {"name", "config", "dependsOn", "status"}
    assert api.client.put(f"{ASSETS}/{asset['id']}", json=asset).json == asset
    assert api.patch(asset["id"], asset).json == asset
    new = {key: value for key, value in asset.items() if key != "id"}
    assert api.client.post(ASSETS, json=new).status_code == 201
    assert document["components"]["schemas"]["Create"]["properties"].keys() == new.keys() - {
        "externalRef"
    }


def test_every_kind_of_problem_is_as_the_document_says(api: Api, document: Any) -> None:
    draft = api.add("draft")
    asset = api.add("asset", draft["id"])
    needed = api.add("needed", status="Active")
    api.add("needs", needed["id"], status="Active")
    owned = api.upsert("crd/default/a", managedBy="crd").json
    answers = [
        api.patch(draft["id"], {"dependsOn": [asset["id"]]}),
        api.patch(asset["id"], {"status": "Active"}),
        api.patch(needed["id"], {"status": "Draft"}),
        api.patch(needed["id"], {"status": "Inactive"}),
        api.client.delete(f"{ASSETS}/{needed['id']}"),
        api.patch(owned["id"], {"name": "b"}),
        api.patch(asset["id"], {"name": "b"}, If_Match='"9"'),
        api.patch(asset["id"], {"name": ""}),
        api.client.get(f"{ASSETS}?page=x"),
        api.client.get("/nothing"),
    ]
    kinds = set()
    for answer in answers:
        conforms(document, "Problem", answer.json)
        kinds.add(answer.json["type"].rpartition(":")[2])
    assert {"dependency-cycle", "dependencies-not-ready", "forbidden-transition"} < kinds
    assert {"has-dependents", "managed-asset", "precondition-failed", "invalid"} < kinds


def test_every_error_is_a_kind_of_problem_of_its_own() -> None:
    assert set(errors(RefusedError)) == KINDS.keys() | {HTTPError}
    assert len({kind.slug for kind in KINDS.values()}) == len(KINDS)


def errors(base: type[RefusedError]) -> Iterator[type[RefusedError]]:
    for error in base.__subclasses__():
        yield error
        yield from errors(error)


def patterns(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from patterns(inner)


def test_patterns_are_those_of_json_schema_and_match_whole_texts(document: Any) -> None:
    found = set(patterns(document))
    assert len(found) > 5
    for pattern in found:
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert not re.search(r"\\[AZz]|\(\?P", pattern)


def test_texts_of_limited_form_have_their_pattern_in_the_document(document: Any) -> None:
    for name, operation in operations(document):
        for parameter in operation["parameters"]:
            schema = parameter["schema"].get("items", parameter["schema"])
            if schema.get("type") == "string" and parameter["in"] != "header":
                assert {"pattern", "format", "enum"} & schema.keys(), (name, parameter["name"])
    reference = document["paths"][f"{ASSETS}/by-ref/{{source}}/{{namespace}}/{{name}}"]
    for parameter in reference["parameters"]:
        assert re.fullmatch(parameter["schema"]["pattern"], parameter["example"])


def test_query_parameters_that_repeat_are_documented_so(document: Any) -> None:
    parameters = {
        parameter["name"]: parameter for parameter in document["paths"][ASSETS]["get"]["parameters"]
    }
    assert parameters["tag"]["explode"] is True
    delete = document["paths"][f"{ASSETS}/{{asset_id}}"]["delete"]["parameters"]
    names = [parameter["name"] for parameter in delete]
    assert names == ["force", "dry_run", "If-Match", "If-None-Match"]


def test_no_schema_is_copied_with_the_documentation_of_views() -> None:
    def below(kind: type[ma.Schema]) -> Iterator[type[ma.Schema]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    ours = [each for each in below(ma.Schema) if each.__module__.startswith("tradingbot_")]
    assert [each for each in ours if not issubclass(each, Schema)] == []
    assert len(ours) > 20


def test_metrics_count_requests_by_route_and_assets_by_type_and_status(api: Api) -> None:
    asset = api.add("a")
    api.add("b", status="Failed")
    api.get(asset["id"])
    api.client.get("/nothing")
    text = api.client.get("/metrics").text
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    requests = "tradingbot_registry_requests_total"
    assert samples[f'{requests}{{code="201",method="POST",route="{ASSETS}"}}'] == "2.0"
    one = f"{ASSETS}/<uuid:asset_id>"
    assert samples[f'{requests}{{code="200",method="GET",route="{one}"}}'] == "1.0"
    assert samples[f'{requests}{{code="404",method="unknown",route="unknown"}}'] == "1.0"
    assert samples['tradingbot_registry_assets{status="Failed",type="Other"}'] == "1.0"
    seconds = "tradingbot_registry_request_duration_seconds_count"
    assert samples[f'{seconds}{{method="POST",route="{ASSETS}"}}'] == "2.0"
