"""Read a certificate from a TLS handshake.

Through a port-forward for a pod, over the network for a webhook that is called by URL. Nothing but
handshakes is sent, and no Secret is read.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import websocket
from kubernetes.client import ApiClient, Configuration, CoreV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward

from tradingbot_cli.doctor.facts import Served, Unserved

TIMEOUT = 10.0
"""Seconds for each read and write of a handshake."""

_CHUNK = 65536
# OpenSSL's results for a chain to a trusted authority that is not valid now.
_NOT_YET_VALID, _EXPIRED = 9, 10


class Stream(Protocol):
    """The part of a socket's interface that a handshake needs."""

    def recv(self, size: int, /) -> bytes: ...

    def sendall(self, data: bytes, /) -> None: ...


Connect = Callable[[], AbstractContextManager[Stream]]


class NoWayError(Exception):
    """Raised when there is no connection; `broken` says whether the server is at fault."""

    def __init__(self, why: str, *, broken: bool = False) -> None:
        super().__init__(why)
        self.broken = broken


def look(where: str, connect: Connect, *, host: str, bundles: Iterable[bytes]) -> Served | Unserved:
    """Return the certificate that is served for `host`, and which PEM `bundles` it chains to."""
    try:
        with connect() as stream:
            leaf = _leaf(stream, host)
        trusted = set()
        for bundle in bundles:
            with connect() as stream:
                if _leads_to(stream, host, bundle):
                    trusted.add(bundle)
    except NoWayError as error:
        return Unserved(where, str(error), broken=error.broken)
    except TimeoutError:
        return Unserved(where, f"no TLS handshake within {TIMEOUT:.0f} s", broken=True)
    except ssl.SSLError as error:
        return Unserved(where, f"no TLS handshake: {error.reason or 'cut off'}", broken=True)
    except OSError as error:
        return Unserved(where, f"no TLS handshake: {error.strerror or error}", broken=True)
    return Served(where, (leaf,), frozenset(trusted))


def over_the_network(host: str, port: int) -> Connect:
    """Connect from this machine; the API server's own view may differ."""

    @contextmanager
    def connected() -> Iterator[Stream]:
        try:
            connection = socket.create_connection((host, port), timeout=TIMEOUT)
        except OSError as error:
            raise NoWayError(f"can't be reached from here: {error.strerror or error}") from error
        with connection:
            yield connection

    return connected


def through_port_forward(
    configuration: Configuration, *, namespace: str, pod: str, port: int
) -> Connect:
    """Connect to a port of a pod, as `kubectl port-forward` does."""

    @contextmanager
    def connected() -> Iterator[Stream]:
        # A new client: the library replaces a method of the client during a port-forward.
        core = CoreV1Api(ApiClient(configuration))
        websocket.setdefaulttimeout(TIMEOUT)
        try:
            forward = portforward(
                core.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port)
            )
        except ApiException as error:
            raise NoWayError(_refusal(str(error.reason), pod)) from error
        try:
            stream = forward.socket(port)
            stream.settimeout(TIMEOUT)
            yield stream
        except (ssl.SSLError, OSError) as error:
            said = forward.error(port)  # the message of the node, such as: connection refused
            if said:
                raise NoWayError(said.strip().partition("\n")[0], broken=True) from error
            raise
        finally:
            forward.close()

    return connected


@contextmanager
def silent_threads() -> Iterator[None]:
    """While it lasts, a thread of the library that dies with its connection prints nothing.

    What that means for us is seen at our end of the connection.
    """
    before = threading.excepthook
    threading.excepthook = lambda _: None
    try:
        yield
    finally:
        threading.excepthook = before


def _refusal(reason: str, pod: str) -> str:
    if "403" in reason.partition("-+-")[0]:
        return f"you may not port-forward to {pod} (create pods/portforward)"
    return f"no port-forward to {pod}: {reason.partition('-+-')[0].strip()}"


def _leaf(stream: Stream, host: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Not verified: finding out what is wrong with the certificate is the purpose.
    context.verify_mode = ssl.CERT_NONE
    certificate = _handshake(stream, context, host).getpeercert(binary_form=True)
    if certificate is None:
        raise NoWayError("no certificate in its TLS handshake", broken=True)
    return certificate


def _leads_to(stream: Stream, host: str, bundle: bytes) -> bool:
    """Whether TLS finds a chain to an authority of `bundle`, be it in time or not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # As in the API server, every certificate in the bundle is trusted, self-signed or not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=bundle.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    try:
        _handshake(stream, context, host)
    except ssl.SSLCertVerificationError as error:
        return error.verify_code in {_NOT_YET_VALID, _EXPIRED}
    return True


def _handshake(stream: Stream, context: ssl.SSLContext, host: str) -> ssl.SSLObject:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            stream.sendall(outgoing.read())
            received = stream.recv(_CHUNK)
            if not received:
                raise ConnectionResetError("the connection was closed") from None
            incoming.write(received)
        else:
            stream.sendall(outgoing.read())
            return tls
