"""`tradingbot certs` as a whole: settings, the loop, its clock and its health port."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from certs_in_memory import NOW
from cryptography import x509
from pydantic import ValidationError
from tradingbot_certs.authority import Names, issue_authority, issue_serving, issued_by, names_of
from tradingbot_certs.directory import DirectoryStore
from tradingbot_certs.errors import ForeignCertificateError
from tradingbot_certs.main import assembled, keep, run
from tradingbot_certs.replicas import Servers
from tradingbot_certs.rotation import Clock, Rotation
from tradingbot_certs.settings import CertSettings
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_kubeconfig.source import KubeconfigError
from tradingbot_process.listening import ListenError

FOREIGN = issue_serving(authority=issue_authority(NOW), names=Names(dns=("foreign",)), now=NOW)
"""Not an authority of this program's, since its subject is another."""


class FakeClock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STUCK_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "did not hold"
        time.sleep(0.02)  # most ask a server, in this process too


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=STUCK_SECONDS) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def settings(tmp_path: Path) -> CertSettings:
    return CertSettings(cert_dir=tmp_path / "certs", check_interval=0.01, health_port=free_port())


def in_folder(settings: CertSettings, clock: Clock) -> Rotation:
    assert settings.cert_dir is not None
    return Rotation(
        rules=settings.rules,
        store=DirectoryStore(settings.cert_dir),
        trust=None,
        replicas=Servers(lambda: settings.addresses),
        clock=clock,
    )


def value(port: int, series: str) -> float:
    lines = get(f"http://127.0.0.1:{port}/metrics")[1].splitlines()
    (line,) = (line for line in lines if line.startswith(f"{series} "))
    return float(line.rpartition(" ")[2])


def test_once_makes_the_files_and_returns(tmp_path: Path) -> None:
    run(CertSettings(cert_dir=tmp_path, once=True))
    assert (tmp_path / "tls.crt").read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")


def test_the_loop_renews_when_the_wall_clock_says_so(settings: CertSettings) -> None:
    assert settings.cert_dir is not None
    path = settings.cert_dir / "tls.crt"
    clock, stop = FakeClock(), threading.Event()
    thread = threading.Thread(
        target=keep,
        args=(settings, in_folder(settings, clock)),
        kwargs={"stop": stop},
    )
    thread.start()
    base = f"http://127.0.0.1:{settings.health_port}"
    try:
        eventually(path.exists)
        eventually(lambda: get(f"{base}/readyz") == (200, "ok\n"))
        assert get(f"{base}/healthz") == (200, "ok\n")
        assert get(f"{base}/elsewhere")[0] == 404
        first = path.read_bytes()
        clock.now += timedelta(days=61)
        eventually(lambda: path.read_bytes() != first)
        expiry = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        series = 'tradingbot_certs_expiry_timestamp_seconds{certificate="serving"}'
        port = settings.health_port
        eventually(lambda: value(port, series) == expiry.timestamp())
    finally:
        stop.set()
        thread.join()


def test_metrics_tell_when_what_is_due_and_how_far_a_replacement_is(
    settings: CertSettings,
) -> None:
    settings = settings.model_copy(update={"webhook_addresses": (f"127.0.0.1:{free_port()}",)})
    clock, stop = FakeClock(), threading.Event()
    thread = threading.Thread(
        target=keep, args=(settings, in_folder(settings, clock)), kwargs={"stop": stop}
    )
    port = settings.health_port
    thread.start()
    try:
        assert settings.cert_dir is not None
        eventually((settings.cert_dir / "tls.crt").exists)
        eventually(lambda: get(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        assert value(port, 'tradingbot_certs_rotation_phase{phase="none"}') == 1
        assert value(port, 'tradingbot_certs_replicas{shows="unknown"}') == 1
        assert value(port, "tradingbot_certs_last_success_timestamp_seconds") == NOW.timestamp()
        due = value(port, 'tradingbot_certs_renewal_timestamp_seconds{certificate="authority"}')
        clock.now = datetime.fromtimestamp(due, NOW.tzinfo)
        settling = 'tradingbot_certs_rotation_phase{phase="settling"}'
        eventually(lambda: value(port, settling) == 1)
        assert value(port, 'tradingbot_certs_rotation_phase{phase="none"}') == 0
    finally:
        stop.set()
        thread.join()


def test_a_store_that_breaks_later_is_reported_and_heals(settings: CertSettings) -> None:
    assert settings.cert_dir is not None
    stop = threading.Event()
    thread = threading.Thread(
        target=keep,
        args=(settings, in_folder(settings, FakeClock())),
        kwargs={"stop": stop},
    )
    thread.start()
    ready = f"http://127.0.0.1:{settings.health_port}/readyz"
    try:
        eventually((settings.cert_dir / "tls.crt").exists)
        eventually(lambda: get(ready)[0] == 200)
        link = settings.cert_dir / "tls.crt"
        link.unlink()
        link.mkdir()
        eventually(lambda: get(ready)[0] == 503)
        assert "tls.crt is a directory where a file is needed" in get(ready)[1]
        link.rmdir()
        eventually(lambda: get(ready)[0] == 200)
    finally:
        stop.set()
        thread.join()


def test_a_taken_health_port_is_one_clear_line(settings: CertSettings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.health_port))
        taken.listen()
        with pytest.raises(ListenError, match=r"^cannot listen on .*Choose another --health-port$"):
            run(settings)


def test_a_foreign_certificate_ends_the_first_check(tmp_path: Path, settings: CertSettings) -> None:
    run(CertSettings(cert_dir=tmp_path / "ours", once=True))
    assert settings.cert_dir is not None
    settings.cert_dir.mkdir()
    foreign = (tmp_path / "ours" / "tls.crt").read_bytes()  # not our authority
    (settings.cert_dir / "ca.crt").write_bytes(foreign)
    with pytest.raises(ForeignCertificateError):
        run(settings)
    assert (settings.cert_dir / "ca.crt").read_bytes() == foreign


def test_without_a_cluster_secret_mode_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(KubeconfigError, match="set KUBECONFIG"):
        run(CertSettings(secret="system/tls", once=True))


def test_a_kubeconfig_that_can_not_be_read_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    broken = tmp_path / "broken"
    broken.write_text("a: [\n")
    for path in (broken, tmp_path):  # a directory is not a kubeconfig either
        monkeypatch.setenv("KUBECONFIG", str(path))
        with pytest.raises(KubeconfigError) as caught:
            run(CertSettings(secret="system/tls", once=True))
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either --cert-dir or --secret"),
        ({"cert_dir": "a", "secret": "a/b"}, "either --cert-dir or --secret"),
        ({"secret": "no-slash"}, "is not NAMESPACE/NAME"),
        ({"cert_dir": "a", "cert_names": ""}, "at least one name"),
        ({"cert_dir": "a", "cert_names": "bad_name"}, "neither a DNS name nor an IP address"),
        ({"cert_dir": "a", "check_interval": 0}, "greater than 0"),
        ({"secret": "a/b", "registry_secret": "no-slash"}, "is not NAMESPACE/NAME"),
        ({"secret": "a/b", "registry_secret": "a/b"}, "another one"),
        ({"secret": "a/b", "registry_secret": "a/b-ca"}, "another one"),
        ({"cert_dir": "a", "registry_secret": "a/b"}, "needs --secret"),
        ({"cert_dir": "a", "webhook_service": "no-slash"}, "is not NAMESPACE/NAME"),
        ({"cert_dir": "a", "webhook_addresses": "127.0.0.1"}, "is not HOST:PORT"),
        ({"cert_dir": "a", "webhook_addresses": "a:0"}, "is not HOST:PORT"),
        ({"cert_dir": "a", "ca_lifetime": 29, "cert_lifetime": 10, "settle": 1}, "ca-lifetime"),
        ({"cert_dir": "a", "ca_lifetime": 30, "cert_lifetime": 10, "settle": 4}, "settle"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        CertSettings(**arguments)  # type: ignore[arg-type]


def test_the_registrys_certificate_is_kept_beside_and_by_another_authority(
    settings: CertSettings, tmp_path: Path
) -> None:
    clock, stop = FakeClock(), threading.Event()
    webhooks = in_folder(settings, clock)
    beside = settings.model_copy(update={"cert_dir": tmp_path / "registry"})
    registry = replace(in_folder(beside, clock), rules=settings.registry_rules)
    thread = threading.Thread(
        target=keep, args=(settings, webhooks), kwargs={"registry": registry, "stop": stop}
    )
    port = settings.health_port
    thread.start()
    try:
        eventually((tmp_path / "registry" / "tls.crt").exists)
        eventually(lambda: get(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        stored = [rotation.store.load() for rotation in (webhooks, registry)]
        authorities = [x509.load_pem_x509_certificate(store.ca_crt or b"") for store in stored]
        assert authorities[0] != authorities[1]
        serving = x509.load_pem_x509_certificate(stored[1].tls_crt or b"")
        assert issued_by(serving, authorities[1])
        assert not issued_by(serving, authorities[0])
        assert "tradingbot-registry.tradingbot-system.svc" in names_of(serving).dns
        series = 'tradingbot_certs_expiry_timestamp_seconds{certificate="registry-serving"}'
        assert value(port, series) == serving.not_valid_after_utc.timestamp()
        # What spoils the webhooks' does not keep the registry's from being renewed.
        assert settings.cert_dir is not None
        # In one step: a check in between would find no file, and replace what follows. Before the
        # clock moves: a check that has read the files already would renew, and write over this one.
        foreign = settings.cert_dir / "foreign"
        foreign.write_bytes(FOREIGN.files["tls.crt"])
        foreign.replace(settings.cert_dir / "ca.crt")
        eventually(lambda: get(f"http://127.0.0.1:{port}/readyz")[0] == 503)
        clock.now += timedelta(days=61)
        before = serving.serial_number
        eventually(lambda: serial(tmp_path / "registry" / "tls.crt") != before)
        status, text = get(f"http://127.0.0.1:{port}/readyz")
        assert status == 503
        assert "not ours" in text
    finally:
        stop.set()
        thread.join()


def serial(certificate: Path) -> int:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number


def test_injection_follows_the_store_unless_it_is_set() -> None:
    assert CertSettings(secret="a/b").injects
    assert not CertSettings(cert_dir=Path("a")).injects
    assert CertSettings(cert_dir=Path("a"), inject_ca_bundle=True).injects


def test_the_servers_to_ask_follow_the_store_unless_they_are_set() -> None:
    assert CertSettings(secret="a/b").service == ("a", "tradingbot-webhooks")
    assert CertSettings(secret="a/b", webhook_service="c/d").service == ("c", "d")
    assert CertSettings(cert_dir=Path("a")).service is None
    listed = CertSettings(
        cert_dir=Path("a"),
        webhook_addresses="a.example:1, [::1]:2",  # type: ignore[arg-type]
    )
    assert listed.addresses == [("a.example", 1), ("::1", 2)]
    assert not listed.needs_cluster
    assert assembled(listed).replicas is not None
    assert assembled(CertSettings(cert_dir=Path("a"))).replicas is None


def test_a_start_that_needs_no_cluster_imports_no_client_of_one(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from tradingbot_cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "sys.exit(code or 'kubernetes' in sys.modules)\n"
    )
    arguments = ["certs", "--once", f"--cert-dir={tmp_path}", "--cert-names=localhost"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=False)
    assert done.returncode == 0
    assert (tmp_path / "tls.crt").exists()
