"""`If-Match` and `If-None-Match` are parsed as RFC 9110 says."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry_harness import ASSETS, MERGE_PATCH, ON_SQLITE, Api, refusal

REF = "crd/default/registry.orders-db"


def writes(api: Api, asset_id: str, **headers: str) -> list[Any]:
    """Every write of an asset of that id, none of which would fail without these headers."""
    path, body = f"{ASSETS}/{asset_id}", {"name": "b", "type": "Other"}
    return [
        api.client.patch(path, data="{}", content_type=MERGE_PATCH, headers=headers),
        api.client.put(path, json=body, headers=headers),
        api.client.put(f"{ASSETS}/by-ref/{REF}", json=body, headers=headers),
        api.client.delete(path, headers=headers),
        api.client.delete(f"{ASSETS}/by-ref/{REF}", headers=headers),
    ]


@pytest.fixture
def asset(api: Api) -> Any:
    api.upsert(REF)
    return api.add("a")


OTHERS = (
    '""',
    '"2"',
    '"1-x"',
    '"1-"',
    '"1-0123456789AB"',
    '"1-0123456789abc"',
    '"01"',
    '"+1"',
    '"\N{ARABIC-INDIC DIGIT ONE}"'.encode().decode("latin-1"),
    'W/"1"',
    'W/"1", "2"',
    '"1,2"',
)
"""Tags, and lists of them, that are not of version 1."""


MALFORMED = (
    "",
    ",",
    "1",
    '"1',
    '1"',
    '"1" "1"',
    'w/"1"',
    '"1", x',
    '*, "1"',
    "**",
    '"a"b"',
    '"\x7f"',
    '" 1"',
    '"1\\""',
)


def test_a_tag_that_is_not_the_versions_does_not_pass(api: Api, asset: Any) -> None:
    for tag in OTHERS:
        for response in writes(api, asset["id"], **{"If-Match": tag}):
            refusal(response, 412, "precondition-failed")
    assert api.get(asset["id"]) == asset


def test_what_is_no_list_of_tags_is_malformed(api: Api, asset: Any) -> None:
    for header in MALFORMED:
        for name in ("If-Match", "If-None-Match"):
            for response in writes(api, asset["id"], **{name: header}):
                assert name in refusal(response, 400, "malformed")["detail"]
    assert api.get(asset["id"]) == asset


@pytest.mark.parametrize("header", ['"1"', '"7", "1"', '"7","1"', ' , "1" ,, ', "*", 'W/"7", "1"'])
def test_a_list_with_the_version_passes(api: Api, asset: Any, header: str) -> None:
    assert api.patch(asset["id"], {"name": "b"}, If_Match=header).status_code == 200


def test_a_write_for_another_version_than_the_clients_fails_on_it(api: Api, asset: Any) -> None:
    for tag in ('"1"', 'W/"1"', '"3", "1"', "*"):
        for response in writes(api, asset["id"], **{"If-None-Match": tag}):
            refusal(response, 412, "precondition-failed")
    response = api.patch(asset["id"], {"name": "b"}, If_None_Match='"2"')
    assert response.status_code == 200


def test_a_read_takes_a_malformed_header_for_none(api: Api, asset: Any) -> None:
    for header in ("1", '"1', "", '"'):
        response = api.client.get(f"{ASSETS}/{asset['id']}", headers={"If-None-Match": header})
        assert response.status_code == 200


HEADERS = st.text("*\"W/1-,\\ \tax'", max_size=12) | st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12
)


@ON_SQLITE
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(header=HEADERS)
def test_no_header_whatever_makes_the_server_fail(api: Api, header: str) -> None:
    asset = api.add("a")
    for name in ("If_Match", "If_None_Match"):
        response = api.patch(asset["id"], {}, **{name: header})
        if response.status_code != 200:
            assert response.status_code in {400, 412}, header
            refusal(
                response,
                response.status_code,
                "malformed" if response.status_code == 400 else "precondition-failed",
            )
    get = api.client.get(f"{ASSETS}/{asset['id']}", headers={"If-None-Match": header})
    assert get.status_code in {200, 304}
