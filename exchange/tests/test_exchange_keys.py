"""API keys: made, written, read and refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tradingbot_exchange.errors import KeysFileError
from tradingbot_exchange.keys import api_keys, keys_text, make_keys, read_keys, write_keys
from tradingbot_exchange.market.symbols import DialectName


def secret_file(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    encryption = (
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password)
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


@pytest.mark.parametrize("dialect", DialectName)
def test_keys_that_are_made_are_read_back(tmp_path: Path, dialect: DialectName) -> None:
    made = make_keys(dialect, ["main", "arb"])
    write_keys(tmp_path / "keys.yaml", made)
    assert read_keys(tmp_path / "keys.yaml") == api_keys(made)
    assert stat.S_IMODE((tmp_path / "keys.yaml").stat().st_mode) == 0o600
    assert [k.account for k in api_keys(made)] == ["main", "main", "arb", "arb"]
    assert len({k.name for k in api_keys(made)}) == 4


def test_a_private_key_signs_what_the_exchange_verifies() -> None:
    made = make_keys(DialectName.COINBASE, ["main"])
    loaded = yaml.safe_load(keys_text(made))["keys"]
    private = serialization.load_pem_private_key(loaded[0]["private_key"].encode(), None)
    public = serialization.load_pem_public_key(api_keys(made)[0].secret.encode())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert private.public_key() == public
    assert loaded[0]["private_key"].startswith("-----BEGIN EC PRIVATE KEY-----")
    assert len(loaded[1]["private_key"]) == 88
    second = serialization.load_pem_public_key(api_keys(made)[1].secret.encode())
    assert isinstance(second, ed25519.Ed25519PublicKey)


def test_no_secret_shows_in_a_repr() -> None:
    made = make_keys(DialectName.BINANCE, ["main"])
    for entry in yaml.safe_load(keys_text(made))["keys"]:
        secret = entry.get("secret") or entry["private_key"].splitlines()[1]
        assert secret not in repr(made)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    write_keys(path, make_keys(DialectName.BINANCE, ["main"]))
    path.chmod(0o640)
    with pytest.raises(KeysFileError, match=r"has mode 0640.*chmod 600"):
        read_keys(path)


SECRET = "verysecret"
GOOD = f"{{name: a, secret: {SECRET}}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Input should be a valid dictionary"),
        ("keys: []", "keys: Tuple should have at least 1 item"),
        ("keys: [\n {", ":2: is not YAML"),
        (f"keys: [{GOOD}, {GOOD}]", "keys.1.name: another key has this name"),
        (f"keys: [{{secret: {SECRET}}}]", "keys.0.name: Field required"),
        ("keys: [{name: a}]", "keys.0: a key has one of secret, private_key and public_key"),
        (f"keys: [{{name: a, secret: {SECRET}, public_key: x}}]", "a key has one of secret"),
        (f"keys: [{{name: a, private_key: {SECRET}}}]", "keys.0: not an Ed25519 or EC P-256 key"),
        (f"keys: [{{name: a, public_key: {SECRET}}}]", "keys.0: not an Ed25519 or EC P-256 key"),
        (f"keys: [{{name: 'a b', secret: {SECRET}}}]", "keys.0.name: String should match"),
        (
            f"keys: [{{name: a, secret: {SECRET}, permissions: [transfer]}}]",
            "Input should be 'read'",
        ),
        (f"keys: [{{name: a, secret: {SECRET}, account: ../x}}]", "keys.0.account: String should"),
        (
            f"keys: [{{name: a, secret: [{SECRET}]}}]",
            "keys.0.secret: Input should be a valid string",
        ),
        ("keys: " + "[" * 10_000, "is not YAML"),
        (f"keys: [!!bool {SECRET}]", "is not YAML"),
        (f"keys: [{SECRET}, {'9' * 5000}]", "is not YAML"),
    ],
)
def test_a_bad_file_is_refused_without_quoting_a_secret(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(KeysFileError) as caught:
        read_keys(secret_file(tmp_path / "keys.yaml", text))
    assert message in str(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_keys_of_other_kinds_and_encrypted_ones_are_refused(tmp_path: Path) -> None:
    keys = [
        pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ec.generate_private_key(ec.SECP256R1()), b"password"),
    ]
    for number, key in enumerate(keys):
        text = yaml.safe_dump({"keys": [{"name": "a", "private_key": key}]})
        with pytest.raises(KeysFileError, match=r"keys\.0: not an Ed25519 or EC P-256 key"):
            read_keys(secret_file(tmp_path / f"{number}.yaml", text))


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "keys.yaml", "mine")
    with pytest.raises(KeysFileError, match="cannot write"):
        write_keys(path, make_keys(DialectName.BINANCE, ["main"]))
    assert path.read_text(encoding="utf-8") == "mine"
