"""The certificate follows its files: without a restart, and never half of one pair."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import threading
from pathlib import Path
from typing import Any, NoReturn

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from tradingbot_webhooks import tls
from tradingbot_webhooks.errors import CertificateError
from tradingbot_webhooks.metrics import Metrics
from tradingbot_webhooks.tls import CertificateFollower, load
from webhook_process import BOT, Authority, Server, Starter, eventually, review


def served_name(server: Server, *, server_name: str | None = None) -> str:
    with server.tls_socket(server_name=server_name) as client:
        der = client.getpeercert(binary_form=True)
        assert der is not None
        subject = x509.load_der_x509_certificate(der).subject
        return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_a_swapped_secret_volume_is_served_without_a_restart(start: Starter) -> None:
    server = start()
    kept = server.connect()
    server.post("/mutate", review(BOT), connection=kept)
    start.authority.install(start.certs, start.authority.pair(name="two"))
    eventually(lambda: served_name(server) == "two")
    assert served_name(server, server_name="localhost") == "two"
    assert server.post("/mutate", review(BOT), connection=kept)[0] == 200, "old sessions live on"
    assert server.metric('tradingbot_webhook_certificate_reloads_total{result="ok"}') == 2
    expiry = server.metric("tradingbot_webhook_certificate_expiry_timestamp_seconds")
    assert expiry > dt.datetime.now(dt.UTC).timestamp()


def test_files_written_in_place_are_served_once_both_are_there(start: Starter) -> None:
    server = start()
    certificate, key = start.authority.pair(name="two")
    (start.certs / "tls.crt").resolve().write_bytes(certificate)
    eventually(lambda: "do not belong together" in server.log.read_text())
    assert served_name(server) == "one"
    assert server.is_ready()
    (start.certs / "tls.key").resolve().write_bytes(key)
    eventually(lambda: served_name(server) == "two")


def test_a_pair_that_can_not_be_used_is_reported_once_and_the_old_one_kept(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority.install(tmp_path / "c", authority.pair())
    follower = CertificateFollower(tmp_path / "c", metrics=Metrics())
    served = follower.current
    authority.install(tmp_path / "c", (b"garbage", b"garbage"))
    for _ in range(5):
        follower.check()
    assert follower.current is served
    (tmp_path / "c" / "tls.key").unlink()
    for _ in range(5):
        follower.check()
    kept = [text for text in caplog.messages if text.startswith("Could not load")]
    assert len(kept) == 2, "one for each thing that was wrong"
    authority.install(tmp_path / "c", authority.pair(name="two"))
    follower.check()
    assert follower.current is not served


def test_a_failure_that_leaves_no_trace_in_the_files_is_tried_again(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that answers with an error for a moment, say."""
    authority.install(tmp_path / "c", authority.pair())
    follower = CertificateFollower(tmp_path / "c", metrics=Metrics())
    served = follower.current

    def failing(*_: Path, client_ca: str | None) -> NoReturn:
        raise CertificateError("stale file handle")

    authority.install(tmp_path / "c", authority.pair(name="two"))
    with monkeypatch.context() as patch:
        patch.setattr(tls, "load", failing)
        follower.check()
    assert follower.current is served
    follower.check()
    assert follower.current is not served


def test_another_type_of_key_replaces_the_old_certificate(start: Starter) -> None:
    server = start()
    for name, key_type in (("rsa", "rsa"), ("ec", "ec")):
        start.authority.install(start.certs, start.authority.pair(name=name, key_type=key_type))
        eventually(lambda name=name: served_name(server) == name)  # type: ignore[misc]


def test_an_expired_certificate_makes_the_server_unready_until_it_is_replaced(
    start: Starter,
) -> None:
    past = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    start.authority.install(start.certs, start.authority.pair(expires=past))
    server = start(wait=False)
    eventually(lambda: "stopped" in server.log.read_text() or _answers(server))
    assert server.health("/readyz")[0] == 503
    assert "certificate expired at" in server.health("/readyz")[1]
    start.authority.install(start.certs, start.authority.pair(name="two"))
    eventually(server.is_ready)


def test_fifty_rotations_under_load_fail_no_review(start: Starter) -> None:
    """New connections all the time: every handshake meets one whole pair."""
    server = start(cert_poll_interval=0.005)
    pairs = [start.authority.pair(name=f"number-{n}") for n in range(50)]
    stop = threading.Event()
    answers: list[int] = []
    faults: list[str] = []

    def client() -> None:
        while not stop.is_set():
            try:
                # Kept open, they would soon be more than one address may have.
                with contextlib.closing(server.connect()) as connection:
                    answers.append(server.post("/mutate", review(BOT), connection=connection)[0])
            except Exception as error:
                faults.append(repr(error))

    clients = [threading.Thread(target=client) for _ in range(3)]
    for thread in clients:
        thread.start()
    try:
        for number, pair in enumerate(pairs):
            start.authority.install(start.certs, pair)
            eventually(lambda n=number: served_name(server) == f"number-{n}")  # type: ignore[misc]
    finally:
        stop.set()
        for thread in clients:
            thread.join()
    assert faults == []
    assert len(answers) > 50
    assert set(answers) == {200}
    assert server.metric('tradingbot_webhook_certificate_reloads_total{result="failed"}') == 0


def test_a_key_of_another_certificate_is_never_loaded(authority: Authority, tmp_path: Any) -> None:
    certificate, _ = authority.pair()
    _, key = authority.pair()
    (tmp_path / "tls.crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(key)
    with pytest.raises(CertificateError, match="do not belong together"):
        load(tmp_path / "tls.crt", tmp_path / "tls.key")


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        (None, b"", "does not exist"),
        (b"", b"", "holds no certificate"),
        (b"garbage", b"", "holds no certificate"),
        ("good", b"garbage", "the key is not an unencrypted PEM"),
    ],
)
def test_what_is_wrong_with_a_pair_is_said(
    authority: Authority, tmp_path: Any, certificate: Any, key: bytes, message: str
) -> None:
    if certificate == "good":
        certificate, _ = authority.pair()
    if certificate is not None:
        (tmp_path / "tls.crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(key)
    with pytest.raises(CertificateError, match=message):
        load(tmp_path / "tls.crt", tmp_path / "tls.key")


def test_loading_leaves_no_file_open(authority: Authority, tmp_path: Any) -> None:
    authority.install(tmp_path / "c", authority.pair())
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        load(tmp_path / "c" / "tls.crt", tmp_path / "c" / "tls.key")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def _answers(server: Server) -> bool:
    try:
        return server.health("/healthz")[0] == 200
    except OSError:
        return False
