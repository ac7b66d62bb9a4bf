"""The forms of credentials that are known by their value alone.

Every pattern is bounded and begins at a boundary or a literal, so that a search takes linear time
whatever it is given. A form is searched for only if one of its marks is in the text.
"""

import re
from base64 import b64decode
from dataclasses import dataclass

_START = r"(?<![A-Za-z0-9_\-])"
_END = r"(?![A-Za-z0-9_\-])"


@dataclass(frozen=True, slots=True)
class Form:
    """A form of credential: its name for messages, texts that it always has, and its pattern."""

    what: str
    marks: tuple[str, ...]
    pattern: re.Pattern[str]


def _token(what: str, marks: str | tuple[str, ...], pattern: str) -> Form:
    marks = (marks,) if isinstance(marks, str) else marks
    return Form(what, marks, re.compile(_START + f"(?:{pattern})" + _END, re.ASCII))


PEM = Form(
    "a private key in PEM form",
    ("PRIVATE KEY", "PuTTY-User-Key"),
    re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY|PuTTY-User-Key-File-[0-9]"),
)
CONNECTION = Form(
    "a connection string with a password",
    ("@tcp(", "@unix(", "@udp(", "jdbc:oracle:"),
    re.compile(
        r"[^\s:@/()]{1,64}:[^\s@${<*][^\s@]{0,255}@(?:tcp|unix|udp)\("
        r"|jdbc:oracle:[a-z]{1,8}:[^\s/@:]{1,64}/[^\s@/${<*][^\s@/]{0,255}@"
    ),
)
SIGNED_URL = Form(
    "a signed URL",
    ("sig=", "ignature=", "key=", "auth="),
    re.compile(
        r"(?i)[?&](?:sig|x-amz-signature|x-goog-signature|signature|key|auth)="
        r"(?=[^&\s#]{0,64}[0-9])[A-Za-z0-9%+/=_.\-]{16,512}"
    ),
)
TOKENS = (
    _token("a key of AWS", ("AKIA", "ASIA", "ABIA", "ACCA"), r"A(?:KI|SI|BI|CC)A[A-Z0-9]{16}"),
    _token(
        "a token of GitHub", ("gh", "github_pat_"), r"gh[pousr]_\w{36,255}|github_pat_\w{22,255}"
    ),
    _token("a token of GitLab", "gl", r"gl(?:pat|dt|rt|ptt|soat|cbt)-[\w\-]{20,255}"),
    _token("a token of Slack", ("xox", "xapp-"), r"(?:xox[abeoprs]|xapp)-[A-Za-z0-9\-]{10,255}"),
    Form(
        "a webhook with its token",
        ("hooks.slack.com", "api/webhooks/", "api.telegram.org/bot"),
        re.compile(
            r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,255}"
            r"|discord(?:app)?\.com/api/webhooks/[0-9]{1,32}/[\w\-]{20,255}"
            r"|api\.telegram\.org/bot[0-9]{6,12}:[\w\-]{20,64}",
            re.ASCII,
        ),
    ),
    _token("a token of a Telegram bot", ":", r"[0-9]{6,12}:[A-Za-z0-9_\-]{35}"),
    _token(
        "a token of Discord",
        ".",
        r"[MNO][A-Za-z0-9_\-]{23,27}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,40}",
    ),
    _token(
        "a key of Google",
        ("AIza", "ya29.", "GOCSPX-"),
        r"AIza[\w\-]{35}|ya29\.[\w\-]{20,2048}|GOCSPX-[\w\-]{20,64}",
    ),
    _token(
        "a key of Stripe",
        ("k_live_", "k_test_", "whsec_"),
        r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}|whsec_[A-Za-z0-9+/=]{20,255}",
    ),
    _token(
        "a JSON Web Token",
        "eyJ",
        r"eyJ[A-Za-z0-9_\-]{8,8192}\.[A-Za-z0-9_\-]{8,8192}\.[A-Za-z0-9_\-.]{8,8192}",
    ),
    _token(
        "a key of a known service",
        (
            *(
                "sk-",
                "hf_",
                "npm_",
                "pypi-",
                "SG.",
                "key-",
                "do",
                "hv",
                "dapi",
                "shp",
                "sq0",
                "dp.",
            ),
            *("lin_api_", "ntn_", "gls", "glc_", "dckr_pat_", "NRAK-", "SK", "AGE-SECRET", "s."),
        ),
        r"sk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_\-]{20,255}|hf_[A-Za-z0-9]{30,64}"
        r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_\-]{50,255}|SG\.[\w\-]{16,64}\.[\w\-]{16,64}"
        r"|key-[0-9a-f]{32}|do[opr]_v1_[0-9a-f]{64}|hv[sbr]\.[\w\-]{20,255}|dapi[0-9a-f]{32}"
        r"|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|sq0(?:atp|csp)-[\w\-]{22,60}"
        r"|dp\.(?:pt|st|ct)\.[A-Za-z0-9]{40,64}|lin_api_[A-Za-z0-9]{32,64}|ntn_[A-Za-z0-9]{40,64}"
        r"|glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[A-Za-z0-9+/=]{32,255}|dckr_pat_[\w\-]{27}"
        r"|NRAK-[A-Z0-9]{27}|SK[0-9a-f]{32}|AGE-SECRET-KEY-1[A-Z0-9]{58}",
    ),
    _token(
        "an extended private key of a wallet",
        "prv",
        r"[xyzuvt]prv[1-9A-HJ-NP-Za-km-z]{100,112}",
    ),
    Form(
        "a private key in DER form",
        ("MI", "MC4CAQAwBQYDK2V", "MHcCAQEEI", "MHQCAQEEI"),
        re.compile(
            r"MII[A-Za-z0-9+/]{2,6}IBA(?:DANBgkqhkiG9w0BAQEFAASC|AKCA)"
            r"|MI(?:GH|GE|G2|HuAg)AgEAMB[A-Za-z0-9+/]{2,8}KoZIzj0"
            r"|MC4CAQAwBQYDK2V[uw]BCIEI|MH[cQ]CAQEEI[A-Za-z0-9+/]{40}"
        ),
    ),
)
"""Each has a run of characters that RUN finds."""

RUN = re.compile(r"\b(?=[A-Za-z+/]{0,40}[0-9_\-]|[A-Z]{15}|AIza)[A-Za-z0-9_+/\-]{15}", re.ASCII)
"""A cheap search that clears most texts of all tokens and random values. `takeProfitPercentage` is
as long as a token, and has no digit or separator."""

_PEM_IN_BASE64 = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{0,80}")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_WIF = re.compile(r"(?<![A-Za-z0-9])[5KLc9][1-9A-HJ-NP-Za-km-z]{50,51}(?![A-Za-z0-9])")


def holds(form: Form, text: str) -> bool:
    """Return whether `text` holds a credential of that form."""
    return any(mark in text for mark in form.marks) and form.pattern.search(text) is not None


def token_form(text: str) -> str | None:
    """Return what `text`, in which RUN was found, holds if it holds a token of a known form."""
    for form in TOKENS:
        if holds(form, text):
            return form.what
    for match in _PEM_IN_BASE64.finditer(text):
        whole = match[0][: len(match[0]) // 4 * 4]
        if b"PRIVATE KEY" in b64decode(whole):
            return "a private key in PEM form, encoded"
    if any(_is_wif(match[0]) for match in _WIF.finditer(text)):
        return "a private key of a wallet"
    return None


def _is_wif(text: str) -> bool:
    """Return whether `text` is a Bitcoin private key: base58 with the first byte and the length of
    one. An address or another identifier is shorter."""
    number = 0
    for character in text:
        number = number * 58 + _BASE58.index(character)
    size = (number.bit_length() + 7) // 8
    return size in {37, 38} and number.to_bytes(size, "big")[0] in {0x80, 0xEF}
