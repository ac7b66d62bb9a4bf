"""What the server answers, over real TLS: codes, denials, log lines, metrics."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time

import jsonpatch
import pytest
from tradingbot_api.admission.review import defaulted
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_webhooks.settings import MAX_BODY
from webhook_process import (
    BOT,
    PROGRAM,
    Server,
    Starter,
    bot,
    log_lines,
    patch_of,
    review,
)

JSON_TYPE = {"Content-Type": "application/json"}


def test_mutate_answers_a_base64_json_patch(shared: Server) -> None:
    status, response = shared.post("/mutate?timeout=5s", review(BOT))
    assert (status, response["allowed"], response["patchType"]) == (200, True, "JSONPatch")
    assert response["uid"] == review(BOT)["request"]["uid"]
    assert jsonpatch.apply_patch(BOT, patch_of(response)) == defaulted("TradingBot", BOT)


def test_validate_admits_a_good_bot_in_silence(shared: Server) -> None:
    _, response = shared.post("/validate", review(defaulted("TradingBot", BOT)))
    assert response == {"uid": review(BOT)["request"]["uid"], "allowed": True}


def test_a_denial_lists_every_mistake_as_kubectl_wants_it(shared: Server) -> None:
    wrong = defaulted(
        "TradingBot",
        bot(
            riskManagement={"stopLossPercentage": "150"},
            exchange={"apiKeyPath": "same", "apiSecretPath": "same"},
        ),
    )
    status, response = shared.post("/validate", review(wrong))
    assert (status, response["allowed"]) == (200, False)
    answer = response["status"]
    assert (answer["code"], answer["reason"], answer["status"]) == (422, "Invalid", "Failure")
    assert {k: answer["details"][k] for k in ("name", "group", "kind")} == {
        "name": "arb",
        "group": "trading.io",
        "kind": "TradingBot",
    }
    causes = answer["details"]["causes"]
    assert [c["field"] for c in causes] == [
        "spec.exchange.apiSecretPath",
        "spec.riskManagement.stopLossPercentage",
    ]
    texts = [f"{c['field']}: {c['message']}" for c in causes]
    assert answer["message"] == f'TradingBot.trading.io "arb" is invalid: [{", ".join(texts)}]'


def test_the_images_of_the_strategies_are_a_setting_of_the_server(start: Starter) -> None:
    server = start(strategy_images="other, registry.example/arb")
    image, parameters = BOT["spec"]["strategy"]["image"], {"minProfitTreshold": "1"}
    wrong = defaulted("TradingBot", bot(strategy={"image": image, "parameters": parameters}))
    answer = server.post("/validate", review(wrong))[1]["status"]
    (cause,) = answer["details"]["causes"]
    assert (cause["field"], cause["reason"]) == (
        "spec.strategy.parameters[minProfitTreshold]",
        "FieldValueForbidden",
    )


def test_a_single_mistake_is_written_without_brackets(shared: Server) -> None:
    wrong = defaulted("TradingBot", bot(riskManagement={"stopLossPercentage": "150"}))
    answer = shared.post("/validate", review(wrong))[1]["status"]
    (cause,) = answer["details"]["causes"]
    assert answer["message"] == (
        f'TradingBot.trading.io "arb" is invalid: {cause["field"]}: {cause["message"]}'
    )


def test_warnings_are_sentences_that_name_their_field(shared: Server) -> None:
    risky = defaulted("TradingBot", bot(riskManagement={"dailyLossLimit": "5000"}))
    _, response = shared.post("/validate", review(risky))
    assert response["allowed"]
    assert any(w.startswith("spec.riskManagement.dailyLossLimit: ") for w in response["warnings"])


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (("POST", "/", b"{}", JSON_TYPE), 404),
        (("POST", "/mutate/", b"{}", JSON_TYPE), 404),
        (("GET", "/healthz", None, {}), 404),
        (("GET", "/mutate", None, {}), 405),
        (("PUT", "/validate", b"{}", JSON_TYPE), 405),
        (("POST", "/mutate", b"{}", {}), 415),
        (("POST", "/mutate", b"{}", {"Content-Type": "application/yaml"}), 415),
        (("POST", "/mutate", b"{}", JSON_TYPE | {"Content-Encoding": "gzip"}), 415),
        (("POST", "/mutate", b"", JSON_TYPE), 400),
        (("POST", "/mutate", b"{}", JSON_TYPE), 400),
        (("POST", "/validate", b"not json", JSON_TYPE), 400),
        (("POST", "/validate", b'{"a":' * 50_000, JSON_TYPE), 413),
    ],
)
def test_what_is_not_a_review_gets_the_right_code(
    shared: Server, asked: tuple[str, str, bytes | None, dict[str, str]], status: int
) -> None:
    connection = shared.connect()
    connection.request(*asked)
    answer = connection.getresponse()
    assert answer.status == status
    assert answer.getheader("allow") == ("POST" if status == 405 else None)
    assert answer.read().endswith(b"\n")


def test_a_json_content_type_may_carry_parameters(shared: Server) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert shared.post("/mutate", review(BOT), headers=headers)[0] == 200


def test_a_body_over_3_mib_is_refused_before_it_is_sent(shared: Server) -> None:
    with shared.tls_socket() as client:
        client.sendall(
            b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1)
        )
        assert client.recv(64).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_over_3_mib_is_refused_while_it_is_sent(shared: Server) -> None:
    with shared.tls_socket() as client:
        client.sendall(
            b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(MAX_BODY // 0x10000):
            client.sendall(chunk)
        client.sendall(b"1\r\n \r\n")
        assert client.recv(64).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_nearly_3_mib_is_read(shared: Server) -> None:
    large = bot()
    large["metadata"]["annotations"] = {"a": "x" * (MAX_BODY - 5000)}
    status, response = shared.post("/mutate", review(large))
    assert (status, response["allowed"]) == (200, True)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40_000,
        b"GET /" + b"a" * 40_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: aaaaaaaaaaaaaaaaaaaa\r\n" * 2000 + b"\r\n",
    ],
)
def test_a_head_over_32_kib_is_refused(shared: Server, head: bytes) -> None:
    with shared.tls_socket() as client:
        client.sendall(head)
        assert client.recv(64).startswith(b"HTTP/1.1 431 ")
        while client.recv(4096):
            pass


@pytest.mark.parametrize(
    "garbage", [b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 5 + b"?"]
)
def test_what_is_not_http_is_a_400(shared: Server, garbage: bytes) -> None:
    with shared.tls_socket() as client:
        client.sendall(garbage)
        assert client.recv(64).startswith(b"HTTP/1.1 400 ")


def test_plain_http_on_the_tls_port_harms_nobody(shared: Server) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), timeout=STUCK_SECONDS) as client:
        client.sendall(b"GET /mutate HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not client.recv(4096).startswith(b"HTTP/1.1 200")
    assert shared.post("/mutate", review(BOT))[0] == 200


def test_tls_1_2_is_spoken(shared: Server) -> None:
    assert _version_spoken(shared, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_1_is_refused(shared: Server) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _version_spoken(shared, ssl.TLSVersion.TLSv1_1)


def test_one_connection_answers_many_requests(shared: Server) -> None:
    connection = shared.connect()
    for _ in range(20):
        assert shared.post("/mutate", review(BOT), connection=connection)[0] == 200
    assert connection.sock is not None


def test_a_request_in_small_pieces_is_answered(shared: Server) -> None:
    body = json.dumps(review(BOT)).encode()
    whole = (
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    ) + body
    with shared.tls_socket() as client:
        for at in range(0, len(whole), 7):
            client.sendall(whole[at : at + 7])
        assert client.recv(64).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order(shared: Server) -> None:
    def request(path: bytes) -> bytes:
        return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"

    with shared.tls_socket() as client:
        client.sendall(request(b"/mutate") + request(b"/mutate"))
        # The first refusal closes the connection, so there is exactly one answer.
        received = b""
        while part := client.recv(4096):
            received += part
        assert received.count(b"HTTP/1.1 405") == 1


def test_who_ends_its_side_right_behind_the_request_is_answered(shared: Server) -> None:
    address = ("127.0.0.1", shared.health_port)
    with socket.create_connection(address, timeout=STUCK_SECONDS) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: client.recv(1000), b"")).endswith(b"\r\n\r\nok\n")


def test_who_ends_its_tls_session_right_behind_the_request_is_answered(shared: Server) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = shared.trust.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    body = json.dumps(review(BOT)).encode()
    with socket.create_connection(("127.0.0.1", shared.port), timeout=STUCK_SECONDS) as client:
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.sendall(outgoing.read())
                incoming.write(client.recv(1 << 16))
        head = b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        session.write(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        with contextlib.suppress(ssl.SSLWantReadError):
            session.unwrap()
        client.sendall(outgoing.read())  # request and goodbye, in one piece
        client.shutdown(socket.SHUT_WR)
        incoming.write(b"".join(iter(lambda: client.recv(1 << 16), b"")))
    assert session.read(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_exception_denies_that_object_and_the_server_lives_on(start: Starter) -> None:
    broken = PROGRAM.replace(
        "try:",
        "import tradingbot_webhooks.admission as a\n"
        "def broken(kind, obj): raise ZeroDivisionError(obj['spec']['strategy']['image'])\n"
        "a.defaulted = broken\ntry:",
    )
    server = start(program=broken)
    secret = bot(strategy={"image": "sk-very-secret"})
    status, response = server.post("/mutate", review(secret))
    assert (status, response["allowed"], response["status"]["code"]) == (200, False, 500)
    assert review(BOT)["request"]["uid"] in response["status"]["message"]
    assert server.post("/validate", review(defaulted("TradingBot", BOT)))[1]["allowed"]
    assert server.metric("tradingbot_webhook_reviews_total{") == 2
    (failure,) = [line for line in log_lines(server) if line["message"] == "review failed"]
    assert failure["error"] == "ZeroDivisionError"
    assert "in broken" in failure["traceback"]
    assert "sk-very-secret" not in server.log.read_text() + json.dumps(response)


def test_a_denial_is_one_audit_line_without_values(start: Starter) -> None:
    server = start()
    wrong = bot(riskManagement={"stopLossPercentage": "7777"}, mode="sk-secret")
    server.post("/mutate", review(wrong, dryRun=True))
    server.post("/mutate", review(BOT))
    lines = [x for x in log_lines(server) if x["logger"] == "tradingbot_webhooks.audit"]
    assert lines == [
        {
            "logger": "tradingbot_webhooks.audit",
            "message": "denied",
            "endpoint": "mutate",
            "user": "alice",
            "operation": "CREATE",
            "kind": "TradingBot",
            "namespace": "default",
            "object": "arb",
            "uid": review(BOT)["request"]["uid"],
            "dry_run": True,
            "fields": ["spec.mode", "spec.riskManagement.stopLossPercentage"],
        }
    ]
    assert "7777" not in server.log.read_text()


def test_metrics_count_reviews_rejections_and_refusals(start: Starter) -> None:
    server = start()
    server.post("/mutate", review(BOT))
    server.post("/validate", review(bot(schedule={"windows": [{"start": "x"}]})))
    server.post("/validate", review(BOT, kind={"group": "a", "version": "b", "kind": "Made-up"}))
    server.post("/elsewhere", b"")
    assert (
        server.metric(
            "tradingbot_webhook_reviews_total"
            '{endpoint="mutate",kind="TradingBot",operation="CREATE",verdict="allowed"}'
        )
        == 1
    )
    assert server.metric("tradingbot_webhook_review_duration_seconds_count") == 3
    assert server.metric('tradingbot_webhook_http_refusals_total{code="404"}') == 1
    metrics = server.health("/metrics")[1]
    assert 'field="spec.schedule.windows[].start"' in metrics
    assert "Made-up" not in metrics
    assert server.metric("tradingbot_webhook_certificate_expiry_timestamp_seconds") > time.time()


def test_the_health_port_knows_its_paths(shared: Server) -> None:
    assert shared.health("/healthz") == (200, "ok\n")
    assert shared.health("/readyz") == (200, "ok\n")
    assert shared.health("/mutate")[0] == 404


def _version_spoken(server: Server, version: ssl.TLSVersion) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=STUCK_SECONDS)
    with raw, context.wrap_socket(raw) as client:
        return client.version()
