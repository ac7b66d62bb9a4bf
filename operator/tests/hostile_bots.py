"""A process of bots that answer every request with `100 Continue` without end.

A process of its own, so that what it costs itself slows nobody down who is measured.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

FLOOD = b"HTTP/1.1 100 Continue\r\n\r\n" * 1000


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(FLOOD)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()


async def main(host: str, port: int) -> None:
    server = await asyncio.start_server(flood, host, port)
    print("ready", flush=True)
    await server.serve_forever()


@contextmanager
def flooding(host: str, port: int) -> Iterator[None]:
    """Run a hostile process that listens on that address."""
    command = [sys.executable, __file__, host, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
