"""The forms of quantities, images, time zones and credential keys, beyond a case of each."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_api.asset import has_user_info, is_credential_key
from tradingbot_api.image import image_problem, is_pinned
from tradingbot_api.quantity import canonical_cpu, parse_quantity, quantity_text
from tradingbot_api.schedule import time_zones

SHA256 = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("500m", "0.5"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+1", "1"),
        ("-1", "-1"),
        ("1n", "0.000000001"),
        ("1u", "0.000001"),
        ("2k", "2000"),
        ("1M", "1000000"),
        ("1Ki", "1024"),
        ("256Mi", "268435456"),
        ("1.5Gi", "1610612736"),
        ("1E", "1e18"),
        ("1Ei", "1152921504606846976"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("12e-2", "0.12"),
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 ",
        "1\n",
        "m",
        ".",
        "1K",
        "1ki",
        "1mi",
        "1MB",
        "1e",
        "1e+",
        "1e333",
        "0x1",
        "1,5",
        "NaN",
        "inf",
        "--1",
        "1.2.3",
        "\u0661",
        "1 Gi",
        "half",
    ],
)
def test_any_other_text_is_no_quantity(text: str) -> None:
    assert parse_quantity(text) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), ("1", "1"), (2**63 - 1, str(2**63 - 1)), (2**63, None), (True, None), (0.5, None)],
)
def test_a_whole_number_of_64_bits_may_stand_for_a_quantity(value: object, text: str) -> None:
    assert quantity_text(value) == text


@given(st.integers(min_value=1, max_value=10**9))
def test_the_canonical_form_of_cpu_is_the_same_quantity(milli: int) -> None:
    for text in (f"{milli}m", f"{Decimal(milli) / 1000:f}"):
        assert parse_quantity(canonical_cpu(text)) == Decimal(milli) / 1000


def test_cpu_below_a_millicore_is_rounded_up_as_the_api_server_does() -> None:
    assert canonical_cpu("1n") == "1m"


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("bot", False),
        ("bot:latest", False),
        ("bot:1", True),
        ("team/bot:1.4.2-rc_1", True),
        ("ghcr.io/team/sub/bot", False),
        ("localhost/bot:1", True),
        ("localhost:5000/bot", False),
        ("registry.example.com:5000/team/bot:v1", True),
        ("[2001:db8::1]:5000/bot:1", True),
        (f"bot@{SHA256}", True),
        (f"bot:latest@{SHA256}", True),
        ("a__b/c.d/e---f:_1", True),
        ("bot:" + "t" * 128, True),
        ("bot@sha512:" + "a" * 128, True),
    ],
)
def test_an_image_reference_is_one_and_names_a_version_or_not(image: str, pinned: bool) -> None:
    assert image_problem(image) is None
    assert is_pinned(image) == pinned


@pytest.mark.parametrize(
    "image",
    [
        *("", " ", "bot ", " bot", "bot:1\n", "bot: 1", "b ot", "bot\u00a0", "b\u00f6t"),
        *(
            "Bot",
            "ghcr.io/Team/bot",
            "team/bot:",
            "bot:-1",
            "bot:.1",
            "bot:1:2",
            "bot@md5:" + "a" * 32,
        ),
        *("/bot", "bot/", "a//b", "-bot", "bot-", "_bot", "a..b", "a___b", "https://ghcr.io/bot"),
        *("bot@", "bot@sha256", "bot@sha256:", f"bot@{SHA256[:-1]}", f"bot@{SHA256}0"),
        *(f"bot@{SHA256.upper()}", f"bot@{SHA256[:-1]}A", f"bot@{SHA256[:-1]}g"),
        *("bot@sha512:" + "a" * 64, f"@{SHA256}", "bot:" + "t" * 129, "$(IMAGE)", "{{ image }}"),
    ],
)
def test_any_other_text_is_no_image_reference(image: str) -> None:
    assert image_problem(image) is not None


@pytest.mark.parametrize("piece", ["a", "a.", "a-", "a/", "a:", "a_", "A."])
def test_a_long_text_that_is_almost_an_image_reference_is_refused_quickly(piece: str) -> None:
    """A pattern that backtracks would take minutes for this."""
    text = (piece * 512)[:511] + "!"

    assert image_problem(text) is not None


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+5"])
def test_names_of_the_iana_database_are_time_zones(name: str) -> None:
    assert name in time_zones()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Local",
        "local",
        "localtime",
        "TZ=UTC",
        "utc",
        "europe/berlin",
        "Europe",
        "CEST",
        "+01:00",
        "UTC+1",
        "posixrules",
        "right/UTC",
        "../UTC",
        "/etc/localtime",
        "Europe/Berlin ",
        "UTC\n",
    ],
)
def test_nothing_else_is_a_time_zone(name: str) -> None:
    assert name not in time_zones()


@pytest.mark.parametrize("word", ["api{}key", "api{}secret", "secret{}key", "access{}key"])
@pytest.mark.parametrize("between", ["", "-", "_", "."])
@pytest.mark.parametrize("form", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("around", ["{}", "binance-{}", "{}2", "my{}s"])
def test_a_key_that_names_a_credential_is_known_in_every_spelling(
    word: str, between: str, form: object, around: str
) -> None:
    assert is_credential_key(around.format(form(word.format(between))))  # type: ignore[operator]


@pytest.mark.parametrize(
    "name",
    [
        "accessToken",
        "access_token",
        "private.key",
        "PrivateKey",
        "password",
        "dbPassword",
        "PASSPHRASE",
        "apiKeys",
    ],
)
def test_other_names_of_credentials_are_known_too(name: str) -> None:
    assert is_credential_key(name)


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "secret",
        "token",
        "api",
        "apiUrl",
        "keyspace",
        "monkey",
        "passive",
        "api--key",
        "pass",
        "private",
        "accessLevel",
        "symbols",
        "tokenLimit",
    ],
)
def test_ordinary_names_are_not_taken_for_credentials(name: str) -> None:
    assert not is_credential_key(name)


@pytest.mark.parametrize(
    "text",
    [
        "https://user:pass@example.com",
        "https://token@example.com/path",
        " postgres://u:p@db/x",
        "mongodb://u:p@one,two/db",
        "jdbc:postgresql://u:p@db/x",
        "see https://u:p@example.com",
        "https://u:p@[::1",
    ],
)
def test_user_info_is_found_in_a_url(text: str) -> None:
    assert has_user_info(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "me@example.com",
        "https://example.com",
        "https://example.com/@me",
        "https://x/?to=a@b",
        "https://x/#a@b",
        "a://b c@d",
    ],
)
def test_an_at_sign_elsewhere_is_no_user_info(text: str) -> None:
    assert not has_user_info(text)
