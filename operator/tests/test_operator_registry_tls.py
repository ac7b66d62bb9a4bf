"""Where the operator's token is sent, and where not. Real sockets and handshakes."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tradingbot_certs.authority import (
    Names,
    Pair,
    certificate_pem,
    issue_authority,
    issue_serving,
)
from tradingbot_operator.registry_client import RegistryClient, RegistryUnavailableError
from tradingbot_operator.registry_tls import cluster_domain, may_carry_token
from tradingbot_operator.settings import OperatorSettings

NOW = datetime.now(UTC)
NAME = "tradingbot-registry.tradingbot-system.svc"
TOKEN = "the-operators-token"
OURS, STRANGERS = issue_authority(NOW), issue_authority(NOW)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Listener:
    """A server that answers every request, and records every byte, decrypted or not."""

    port: int
    received: bytearray = field(default_factory=bytearray)
    names: list[str | None] = field(default_factory=list)


def server_context(
    tmp_path: Path, authority: Pair, names: str, **issue: datetime
) -> ssl.SSLContext:
    pair = issue_serving(authority=authority, names=Names.parse([names]), now=issue.get("now", NOW))
    for name, content in pair.files.items():
        (tmp_path / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    return context


@asynccontextmanager
async def listening(context: ssl.SSLContext | None) -> AsyncIterator[Listener]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            listener.received += chunk
            if b"\r\n\r\n" in chunk:
                writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    listener = Listener(server.sockets[0].getsockname()[1])
    if context is not None:
        context.sni_callback = lambda _connection, name, _context: listener.names.append(name)
    async with server:
        yield listener


def trusted(tmp_path: Path, *authorities: Pair) -> str:
    file = tmp_path / "ca.crt"
    file.write_bytes(certificate_pem(*(authority.certificate for authority in authorities)))
    return str(file)


def spoil(file: str) -> None:
    Path(file).write_text("nonsense")


async def upsert(
    port: int, *, scheme: str = "https", ca_file: str, host: str = "127.0.0.1"
) -> None:
    client = RegistryClient(
        f"{scheme}://{host}:{port}", token=lambda: TOKEN, ca_file=ca_file, server_name=NAME
    )
    try:
        await client.upsert("crd/n/c.a", {"name": "a"})
    finally:
        await client.close()


def test_the_registry_that_proves_its_name_gets_the_token(tmp_path: Path) -> None:
    async def main() -> Listener:
        async with listening(server_context(tmp_path, OURS, NAME)) as listener:
            await upsert(listener.port, ca_file=trusted(tmp_path, OURS))
            return listener

    listener = asyncio.run(main())
    assert f"Authorization: Bearer {TOKEN}".encode() in listener.received
    assert listener.names == [NAME]


@pytest.mark.parametrize(
    ("authority", "name", "began"),
    [
        pytest.param(STRANGERS, NAME, NOW, id="of another authority"),
        pytest.param(OURS, "other.svc.svc.cluster.local", NOW, id="for another name"),
        pytest.param(OURS, NAME, NOW - timedelta(days=200), id="expired"),
    ],
)
def test_a_server_with_a_wrong_certificate_gets_no_byte_of_the_token(
    tmp_path: Path, authority: Pair, name: str, began: datetime
) -> None:
    async def main() -> Listener:
        context = server_context(tmp_path, authority, name, now=began)
        async with listening(context) as listener:
            with pytest.raises(RegistryUnavailableError, match="not trusted as the registry"):
                await upsert(listener.port, ca_file=trusted(tmp_path, OURS))
            return listener

    listener = asyncio.run(main())
    assert listener.names == [NAME], "there was no handshake"
    assert not listener.received


def test_a_server_without_tls_gets_no_byte_of_the_token(tmp_path: Path) -> None:
    async def main() -> bytes:
        async with listening(None) as listener:
            with pytest.raises(RegistryUnavailableError):
                await upsert(listener.port, ca_file=trusted(tmp_path, OURS))
            return bytes(listener.received)

    received = asyncio.run(main())
    assert received  # the beginning of a handshake, in which nothing is secret
    assert TOKEN.encode() not in received


def test_no_token_is_sent_in_the_clear_to_another_machine() -> None:
    async def main() -> None:
        with pytest.raises(RegistryUnavailableError, match="sent unencrypted"):
            await upsert(1, scheme="http", ca_file="", host="registry.example")

    asyncio.run(main())
    with pytest.raises(ValidationError, match="sent unencrypted"):
        OperatorSettings(registry_url=f"http://{NAME}:8090", registry_token_file="/token")
    for url in ("http://127.0.0.1:8090", "http://[::1]:8090", "http://localhost:1", "https://x"):
        assert OperatorSettings(registry_url=url, registry_token_file="/token").registry_url == url
    assert not may_carry_token("http://127.0.0.1.example.com:8090")


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    async def main() -> bytes:
        async with listening(None) as other:
            place = f"http://127.0.0.1:{other.port}/api/v1/assets"
            moved = f"HTTP/1.1 307 Moved\r\nLocation: {place}\r\nContent-Length: 2\r\n\r\n{{}}"

            async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(moved.encode())
                writer.close()

            context = server_context(tmp_path, OURS, NAME)
            server = await asyncio.start_server(redirect, "127.0.0.1", 0, ssl=context)
            async with server:
                with pytest.raises(RegistryUnavailableError, match="not a registry"):
                    await upsert(
                        server.sockets[0].getsockname()[1], ca_file=trusted(tmp_path, OURS)
                    )
            return bytes(other.received)

    assert asyncio.run(main()) == b""


def test_an_authority_that_is_replaced_is_followed_without_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        file = trusted(tmp_path, OURS)
        async with (
            listening(server_context(tmp_path, OURS, NAME)) as old,
            listening(server_context(tmp_path, STRANGERS, NAME)) as new,
        ):
            client = RegistryClient(
                f"https://127.0.0.1:{new.port}", ca_file=file, server_name=NAME, token=lambda: TOKEN
            )
            try:
                with pytest.raises(RegistryUnavailableError):
                    await client.upsert("crd/n/c.a", {})
                trusted(tmp_path, OURS, STRANGERS)
                await client.upsert("crd/n/c.a", {})
                spoil(file)
                await client.upsert("crd/n/c.a", {})
            finally:
                await client.close()
            assert not old.received
            assert TOKEN.encode() in new.received

    asyncio.run(main())


def test_an_authority_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(server_context(tmp_path, OURS, NAME)) as listener:
            with pytest.raises(RegistryUnavailableError, match=r"ca\.crt"):
                await upsert(listener.port, ca_file=str(tmp_path / "ca.crt"))
            await upsert(listener.port, ca_file=trusted(tmp_path, OURS))

    asyncio.run(main())


def test_dns_is_asked_for_an_absolute_name_and_tls_for_the_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    usual = asyncio.BaseEventLoop.getaddrinfo

    async def getaddrinfo(loop: Any, host: str, port: int, **options: Any) -> Any:
        asked.append(host)
        return await usual(loop, "127.0.0.1", port, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    absolute = f"{NAME}.cluster.local"

    async def main() -> Listener:
        async with listening(server_context(tmp_path, OURS, absolute)) as listener:
            client = RegistryClient(
                f"https://{absolute}.:{listener.port}", ca_file=trusted(tmp_path, OURS)
            )
            try:
                await client.upsert("crd/n/c.a", {})
            finally:
                await client.close()
            return listener

    listener = asyncio.run(main())
    assert set(asked) == {f"{absolute}."}
    assert listener.names == [absolute]


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        (
            "search tradingbot-system.svc.corp.example svc.corp.example corp.example\n",
            "corp.example",
        ),
        ("nameserver 10.0.0.10\nsearch a.svc.k8s. svc.k8s. k8s. lan\noptions ndots:5\n", "k8s"),
        # A namespace called svc, and domains of the node that look alike.
        ("search svc.svc.cluster.local svc.cluster.local cluster.local svc.lan\n", "cluster.local"),
        ("nameserver 127.0.0.53\nsearch lan\n", "cluster.local"),
        ("", "cluster.local"),
    ],
)
def test_the_clusters_domain_is_read_from_the_search_list(
    tmp_path: Path, text: str, domain: str
) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(text)
    assert cluster_domain(file) == domain
    assert cluster_domain(tmp_path / "missing") == "cluster.local"
