"""The registry over TLS: real handshakes with a real process."""

import http.client
import shutil
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from registry_harness import ASSETS, DEADLINE_SECONDS, Server, ask, refused_start, serving
from tradingbot_certs.authority import (
    Names,
    Pair,
    certificate_pem,
    issue_authority,
    issue_serving,
)
from tradingbot_registry.errors import CertificateError
from tradingbot_registry.serving_certificate import ServingCertificate

NOW = datetime.now(UTC)
AUTHORITY = issue_authority(NOW)
NAMES = Names.parse(["127.0.0.1", "tradingbot-registry.tradingbot-system.svc"])


def issued(directory: Path) -> Pair:
    """A new pair in the directory, swapped in at once as a kubelet does."""
    pair = issue_serving(authority=AUTHORITY, names=NAMES, now=NOW)
    generation = directory / f"..{pair.certificate.serial_number:x}"
    generation.mkdir(parents=True)
    for name, content in pair.files.items():
        (generation / name).write_bytes(content)
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(Path("..data") / name)
    data = directory / "..data.new"
    data.symlink_to(generation.name)
    data.replace(directory / "..data")
    return pair


def trusting(authority: Pair = AUTHORITY) -> ssl.SSLContext:
    """A client's context that trusts this authority and no other."""
    return ssl.create_default_context(cadata=certificate_pem(authority.certificate).decode())


def shown(server: Server) -> int:
    """The serial number of the certificate that a new handshake shows."""
    with (
        socket.create_connection(("127.0.0.1", server.port), DEADLINE_SECONDS) as raw,
        trusting().wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        certificate = connection.getpeercert()
    assert certificate is not None
    return int(str(certificate["serialNumber"]), 16)


def test_it_serves_https_and_a_new_certificate_without_a_restart(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    first = issued(directory)
    settings = {"TRADINGBOT_REGISTRY_CERT_DIR": str(directory)}
    with serving(tmp_path / "r.db", tmp_path / "log", tls=trusting(), **settings) as server:
        assert server.call("GET", ASSETS)[0] == 200
        assert shown(server) == first.certificate.serial_number
        kept_open = server.connection()
        kept_open.connect()
        second = issued(directory)
        assert shown(server) == second.certificate.serial_number
        kept_open.request("GET", "/healthz")
        assert kept_open.getresponse().status == 200
        shutil.rmtree(directory)
        assert shown(server) == second.certificate.serial_number
    log = (tmp_path / "log").read_text()
    assert "listens on https://127.0.0.1" in log
    assert log.count("serving certificate reloaded") == 1
    assert log.count("the serving certificate is kept") == 1


def test_plain_http_and_other_authorities_get_no_answer(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    issued(directory)
    settings = {"TRADINGBOT_REGISTRY_CERT_DIR": str(directory)}
    with serving(tmp_path / "r.db", tmp_path / "log", tls=trusting(), **settings) as server:
        plain = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_SECONDS)
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(plain, "GET", ASSETS)
        stranger = Server(server.process, server.log, trusting(issue_authority(NOW)))
        stranger.port = server.port
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.call("GET", ASSETS)
        assert server.call("GET", ASSETS)[0] == 200


@pytest.mark.parametrize("broken", ["tls.crt", "tls.key"])
def test_a_pair_that_can_not_be_used_is_named_and_the_last_one_is_kept(
    tmp_path: Path, broken: str
) -> None:
    issued(tmp_path)
    certificate = ServingCertificate(tmp_path)
    good = certificate.context()
    target = (tmp_path / broken).resolve()
    target.write_bytes(issue_authority(NOW).files[broken])
    assert certificate.context() is good
    with pytest.raises(CertificateError, match="tls"):
        ServingCertificate(tmp_path)
    issued(tmp_path)
    assert certificate.context() is not good


def test_a_certificate_that_is_missing_is_one_line(tmp_path: Path) -> None:
    line = refused_start(tmp_path / "r.db", TRADINGBOT_REGISTRY_CERT_DIR=str(tmp_path / "none"))
    assert "tls.crt" in line
    assert not (tmp_path / "r.db").exists()


def test_tokens_are_not_taken_in_the_clear_from_other_machines(tmp_path: Path) -> None:
    settings = {
        "TRADINGBOT_REGISTRY_AUTH_MODE": "kubernetes",
        "TRADINGBOT_REGISTRY_HOST": "0.0.0.0",
    }
    line = refused_start(tmp_path / "r.db", **settings)
    assert "--cert-dir" in line
