"""What a cluster has around it: a private registry of images, an exchange, and a proxy to it.

    python outside_servers.py SETTINGS.json

Only the proxy listens on an address that pods reach, and only the proxy knows where the exchange
is. The servers end with their standard input, so that none outlives a killed test run. What they
are asked is in the file `log` of the settings, one JSON object per line.
"""

import base64
import hashlib
import json
import socket
import ssl
import sys
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
_OK, _UNAUTHORIZED, _NOT_FOUND, _FORBIDDEN = 200, 401, 404, 403

Note = Callable[..., None]


class Handler(BaseHTTPRequestHandler):
    """One request. `note` writes to the log."""

    protocol_version = "HTTP/1.1"
    note: Note

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.note(status=status, method=self.command, path=self.path, client=self.client_address[0])
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The log has it."""


class Image:
    """The image of an archive in the format of `docker save`, as a registry serves it.

    It has a label more than that of the archive. The kubelet remembers by the digest of the image
    that a Secret was needed for it, and would refuse the image of the archive to other pods.
    """

    def __init__(self, archive: Path) -> None:
        with tarfile.open(archive) as tar:
            files = {member.name: member for member in tar.getmembers()}
            listed = json.loads(_content(tar, files["manifest.json"]))[0]
            config = json.loads(_content(tar, files[listed["Config"]]))
        config["config"]["Labels"] = {"registry": "private"}
        self._archive = archive
        self._config = json.dumps(config).encode()
        self._config_digest = f"sha256:{hashlib.sha256(self._config).hexdigest()}"
        # They are not compressed, so these are the digests of the files.
        digests = config["rootfs"]["diff_ids"]
        self._layers = {
            digest: files[files[name].linkname or name]
            for digest, name in zip(digests, listed["Layers"], strict=True)
        }
        described = {"digest": self._config_digest, "size": len(self._config)}
        layers = [
            {"mediaType": LAYER, "digest": digest, "size": self._layers[digest].size}
            for digest in digests
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **described},
            "layers": layers,
        }
        self.manifest = json.dumps(manifest).encode()

    def blob(self, digest: str) -> bytes | None:
        if digest == self._config_digest:
            return self._config
        member = self._layers.get(digest)
        if member is None:
            return None
        with tarfile.open(self._archive) as tar:
            return _content(tar, member)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def registry(image: Image, *, user: str, password: str, note: Note) -> type[Handler]:
    """Serve one image under any name and tag, to one user."""
    secret = base64.b64encode(f"{user}:{password}".encode()).decode()

    class Registry(Handler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if self.headers.get("Authorization") != f"Basic {secret}":
                self.answer(_UNAUTHORIZED, WWW_Authenticate='Basic realm="private"')
            elif self.path in {"/v2", "/v2/"}:
                self.answer(_OK)
            elif "/manifests/" in self.path:
                self.answer(_OK, image.manifest, Content_Type=MANIFEST)
            else:
                blob = image.blob(self.path.rpartition("/")[2])
                self.answer(_NOT_FOUND if blob is None else _OK, blob or b"")

    Registry.note = staticmethod(note)
    return Registry


def exchange(*, note: Note) -> type[Handler]:
    """Answer each request with a number of its own."""
    numbers = iter(range(1, sys.maxsize))

    class Exchange(Handler):
        def do_GET(self) -> None:
            self.answer(_OK, str(next(numbers)).encode())

    Exchange.note = staticmethod(note)
    return Exchange


def proxy(hosts: dict[str, list[Any]], *, note: Note) -> type[Handler]:
    """Connect clients to these hosts, by `NAME:PORT`, and to no other."""

    class Proxy(Handler):
        def do_CONNECT(self) -> None:
            self.close_connection = True
            place = hosts.get(self.path)
            if place is None:
                self.answer(_FORBIDDEN)
                return
            with socket.create_connection((place[0], place[1])) as there:
                self.answer(_OK)
                back = threading.Thread(target=_pass, args=(there, self.connection))
                back.start()
                _pass(self.connection, there)
                back.join()

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            if status != _OK:
                super().answer(status, body, **headers)
                return
            self.note(
                status=status, method="CONNECT", path=self.path, client=self.client_address[0]
            )
            self.send_response(status)  # of a tunnel, with no length
            self.end_headers()

    Proxy.note = staticmethod(note)
    return Proxy


def _pass(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of the two has gone


def serve(address: list[Any], handler: type[Handler], *, tls: dict[str, str] | None = None) -> None:
    server = ThreadingHTTPServer((address[0], address[1]), handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls["certificate"], tls["key"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main(settings: dict[str, Any]) -> None:
    lock = threading.Lock()

    def log_of(server: str) -> Note:
        def note(**seen: object) -> None:
            with lock, Path(settings["log"]).open("a") as log:
                log.write(json.dumps({"server": server, **seen}) + "\n")

        return note

    private, market, way = settings["registry"], settings["exchange"], settings["proxy"]
    login = {name: private[name] for name in ("user", "password")}
    image = Image(Path(private["archive"]))
    tls = settings["tls"]
    serve(private["address"], registry(image, **login, note=log_of("registry")), tls=tls)
    serve(market["address"], exchange(note=log_of("exchange")), tls=tls)
    serve(way["address"], proxy(way["hosts"], note=log_of("proxy")))
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
