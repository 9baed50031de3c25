"""A mail server that delivers nothing: every message becomes a file.

Run by the environment's Python. It prints its port and works until its
standard input ends, so it never outlives the command that started it.
With ``--round-trip MS`` it is as far away as a mail server of the internet.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP


class Keeper:
    """Stores messages as 0001-….eml; a file appears only when it is complete."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.count = 0

    async def handle_EHLO(self, _server, session, _envelope, hostname, responses):
        session.host_name = hostname
        # as most mail servers do; aiosmtpd reads commands one after the other anyway
        return [responses[0], "250-PIPELINING", *responses[1:]]

    async def handle_DATA(self, _server, _session, envelope):
        self.count += 1
        name = f"{time.time_ns()}-{self.count:04d}"
        scratch = self.folder / f"{name}.new"
        scratch.write_bytes(envelope.original_content)
        scratch.rename(self.folder / f"{name}.eml")
        return "250 kept"


async def serve(folder: Path, round_trip: float) -> None:
    keeper = Keeper(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(keeper, data_size_limit=50_000_000, enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    relay = await _move_away(port, round_trip / 2) if round_trip else None
    print(relay.sockets[0].getsockname()[1] if relay else port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


async def _move_away(port: int, delay: float) -> asyncio.Server:
    """A server before that of ``port``, to which all takes ``delay`` seconds each way."""

    async def connect(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            _pass_on(reader, far_writer, delay), _pass_on(far_reader, writer, delay)
        )

    return await asyncio.start_server(connect, "127.0.0.1", 0)


async def _pass_on(reader, writer, delay: float) -> None:
    loop = asyncio.get_running_loop()
    while data := await reader.read(65536):
        loop.call_later(delay, writer.write, data)
    loop.call_later(delay, writer.close)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--round-trip", type=float, default=0, help="milliseconds (default: 0)")
    options = parser.parse_args()
    asyncio.run(serve(options.folder, options.round_trip / 1000))


if __name__ == "__main__":
    main()
