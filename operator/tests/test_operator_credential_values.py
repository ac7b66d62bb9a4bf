"""Values that can't be credentials: in a Secret, where a bot waits for them, and in the spec."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_harness import SECRET
from reconcile_harness import BOT, CREDENTIALS, DEPLOYMENT, Harness, condition, play
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.credential_values import ADVICE, flaw_of
from tradingbot_operator.reasons import Reason


def test_a_key_in_pem_form_may_end_with_a_newline_and_nothing_else_may() -> None:
    pem = "-----BEGIN EC PRIVATE KEY-----\nTUlH\n-----END EC PRIVATE KEY-----"
    for text, flaw in (
        (pem, None),
        (f"{pem}\n", None),
        (pem.replace("\n", "\r\n"), None),
        (f"{pem}\n\0", Reason.KEY_NOT_TEXT),
        (f"\n{pem}", Reason.KEY_HAS_WHITESPACE),
        ("plain", None),
        ("two words", None),
        ("plain\n", Reason.KEY_HAS_WHITESPACE),
    ):
        assert flaw_of(b64encode(text.encode()).decode()) is flaw, repr(text)


@given(st.binary())
def test_every_value_is_judged_without_a_word_of_it(value: bytes) -> None:
    flaw = flaw_of(b64encode(value).decode())
    assert flaw is None or flaw in ADVICE
    assert flaw is not None or (value.strip() and b"\0" not in value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "KeyEmpty"),
        (b"\n", "KeyEmpty"),
        (b" \t ", "KeyEmpty"),
        ("\ufeff".encode(), "KeyEmpty"),
        (b"VALUE\n", "KeyHasWhitespace"),
        (b"VALUE\r\n", "KeyHasWhitespace"),
        (b" VALUE", "KeyHasWhitespace"),
        ("\ufeffVALUE".encode(), "KeyHasWhitespace"),
        ("VALUE\u200b".encode(), "KeyHasWhitespace"),
        ("VALUE\u00a0".encode(), "KeyHasWhitespace"),
        (b"VALUE\nVALUE", "KeyNotText"),
        (b"VALUE\0", "KeyNotText"),
        ("VALUE".encode("utf-16"), "KeyNotText"),
        (b"VALUE\xff", "KeyNotText"),
        (None, "KeyNotText"),
    ],
)
@pytest.mark.parametrize("key", ["api-key", "api-secret", "api-passphrase"])
def test_a_bot_waits_for_a_credential_that_can_not_be_one(
    key: str, value: bytes | None, reason: str
) -> None:
    """A new bot does not start, a running one is stopped, and both run once the value is right."""
    encoded = "not base64!" if value is None else b64encode(value).decode()
    good = dict.fromkeys(("api-key", "api-secret", "api-passphrase"), "VkFMVUU=")
    passphrase = {"exchange": {"passphrasePath": "api-passphrase"}}

    async def scenario() -> None:
        harness = Harness()
        harness.cluster.put({**CREDENTIALS, "data": good})
        harness.edit(spec=passphrase)
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)
        harness.cluster.put({**CREDENTIALS, "data": {**good, key: encoded}})
        await harness.run()
        assert (harness.phase, harness.replicas) == ("AwaitingCredentials", 0)
        assert condition(harness, "CredentialsReady") == ("False", reason)
        (message,) = [
            known["message"]
            for known in harness.cluster.objects[BOT]["status"]["conditions"]
            if known["type"] == "CredentialsReady"
        ]
        assert message.startswith(f'Key "{key}" of Secret "{SECRET}" ')
        assert "VALUE" not in message
        harness.cluster.put({**CREDENTIALS, "data": good})
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)

    play(scenario)


def test_a_key_that_no_bot_uses_may_have_any_value() -> None:
    async def scenario() -> None:
        harness = Harness()
        data = {**CREDENTIALS["data"], "notes": "", "binary": "/w=="}
        harness.cluster.put({**CREDENTIALS, "data": data})
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)

    play(scenario)


def test_a_passphrase_that_the_secret_lacks_is_waited_for() -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.edit(spec={"exchange": {"passphrasePath": "api-passphrase"}})
        await harness.run()
        assert (harness.phase, harness.replicas) == ("AwaitingCredentials", 0)
        assert condition(harness, "CredentialsReady") == ("False", "KeyNotFound")

    play(scenario)


CREDENTIALS_IN_SPEC = [
    {"strategy": {"parameters": {"telegram_token": "hunter2"}}},
    {"pod": {"env": [{"name": "TELEGRAM_TOKEN", "value": "hunter2"}]}},
    {"pod": {"args": ["--token", "hunter2"]}},
    {"pod": {"command": ["/bot", "--token=hunter2"]}},
    {"pod": {"annotations": {"example.com/header": "Bearer hunter2"}}},
]


@pytest.mark.parametrize("credential", CREDENTIALS_IN_SPEC, ids=str)
def test_a_bot_that_was_stored_with_a_credential_is_not_run(credential: JsonObject) -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.edit(spec=credential)
        await harness.run()
        assert harness.phase == "Failed"
        assert DEPLOYMENT not in harness.cluster.objects
        assert "hunter2" not in f"{harness.cluster.objects[BOT]['status']}"

    play(scenario)


@pytest.mark.parametrize("credential", CREDENTIALS_IN_SPEC, ids=str)
def test_an_operator_that_knows_more_credentials_stops_no_bot_that_runs(
    credential: JsonObject,
) -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.edit(spec=credential)
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)

    play(scenario)
