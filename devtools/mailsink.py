"""A mail server that delivers nothing: every message becomes a file.

Run by the environment's Python. It prints its port and works until its
standard input ends, so it never outlives the command that started it.
"""

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

    async def handle_DATA(self, _server, _session, envelope):
        self.count += 1
        name = f"{time.time_ns()}-{self.count:04d}"
        scratch = self.folder / f"{name}.new"
        scratch.write_bytes(envelope.original_content)
        scratch.rename(self.folder / f"{name}.eml")
        return "250 kept"


async def serve(folder: Path) -> None:
    keeper = Keeper(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(keeper, data_size_limit=50_000_000, enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
