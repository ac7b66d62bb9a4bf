"""The corpus through the API server with both webhooks behind it, and through `validate`."""

import json
from collections.abc import Iterator

import pytest
from admission_cases import BOUNDS, CASES, NOW, Case
from crd_layer import CrdLayer
from tradingbot_cli.verdicts import Checked, check
from tradingbot_dev.product.system import System

UNKNOWN = "Forbidden: unknown field"
NO_SECRET = "the bot waits until it exists"


@pytest.fixture(scope="module")
def door(system: System) -> Iterator[CrdLayer]:
    """A kept connection to the API server, with the webhooks behind it. Nothing is stored."""
    layer = CrdLayer(system.plane)
    yield layer
    layer.close()


def said(header: str) -> str:
    """The text of a Warning header."""
    text = header.removeprefix('299 - "').removesuffix('"')
    return text.replace('\\"', '"').replace("\\\\", "\\")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_api_server_says_what_the_corpus_says(door: CrdLayer, case: Case) -> None:
    answer = door.create(case.manifest)

    unknown = [text.split(": ")[0] for text in case.errors if UNKNOWN in text]
    if unknown:
        # kubectl asks for strict decoding, and that comes first.
        assert answer.status == 400, answer.message
        for field in unknown:
            assert f'unknown field "{field}"' in answer.message
        return
    if case.refused_by is not None:
        causes = answer.body["details"]["causes"]
        assert (answer.status, answer.body["reason"]) == (422, "Invalid")
        assert tuple(f"{one['field']}: {one['message']}" for one in causes) == case.errors
    else:
        assert answer.admitted, answer.message
    warnings = tuple(map(said, answer.warnings))
    assert tuple(one for one in warnings if NO_SECRET not in one) == case.warnings


@pytest.mark.parametrize("case", BOUNDS, ids=lambda case: case.name)
def test_a_value_at_a_bound_passes_and_one_past_it_does_not(door: CrdLayer, case: Case) -> None:
    answer = door.create(case.manifest)

    assert answer.admitted == (case.refused_by is None), answer.message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_validate_says_what_the_corpus_says(case: Case) -> None:
    (found,) = check("one.json", json.dumps(case.manifest).encode(), now=NOW)

    assert isinstance(found, Checked)
    assert tuple(one.text for one in found.errors) == case.errors
    assert tuple(one.text for one in found.warnings) == case.warnings
