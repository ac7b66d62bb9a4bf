"""The forms of quantities, images and time zones, beyond a case of each."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_api.image import image_problem, is_pinned
from tradingbot_api.quantity import number_text, one_spelling, parse_quantity
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
    assert number_text(value) == text


@given(st.integers(min_value=1, max_value=10**12))
def test_all_spellings_of_a_quantity_have_one_in_common(milli: int) -> None:
    number = Decimal(milli) / 1000
    spellings = (f"{milli}m", f"{number:f}", f"{milli}000u", f"{milli}e-3")
    (one,) = {one_spelling(text) for text in spellings}
    assert parse_quantity(one) == number
    assert one_spelling(one) == one


@pytest.mark.parametrize(
    "text", ["1", "2", "100m", "500m", "1500m", "64Mi", "256Mi", "1Gi", "1536Mi", "512M", "10G"]
)
def test_a_usual_spelling_stays(text: str) -> None:
    assert one_spelling(text) == text


@pytest.mark.parametrize(
    ("text", "one"),
    [("1n", "1m"), ("0.5", "500m"), ("1000m", "1"), ("1024Mi", "1Gi"), ("268435456", "256Mi")],
)
def test_other_spellings_and_fractions_of_a_thousandth(text: str, one: str) -> None:
    assert one_spelling(text) == one


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
