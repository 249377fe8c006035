"""A proxy that holds every byte back for a while, as a long line does, and counts round trips.

    python -m tests.faults.delay LISTEN:PORT TARGET:PORT MILLISECONDS FILE

The milliseconds are those of a round trip, half of them each way. A round trip is a change of direction: the client
speaks after the server has spoken. The count stands in FILE, written whenever it changes.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path


class Proxy:
    """Connections to one target."""

    def __init__(self, target: str, seconds: float, file: Path) -> None:
        self._target, self._seconds, self._file = target, seconds, file
        self._trips = 0

    async def serve(self, address: str) -> None:
        """Accept connections until the process ends."""
        host, _, port = address.rpartition(":")
        server = await asyncio.start_server(self._connected, host, int(port))
        self._count()
        await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._target.rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        said = {"last": "server"}
        await asyncio.gather(
            self._pump(reader, back, "client", said), self._pump(there, writer, "server", said), return_exceptions=True
        )

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, who: str, said: dict[str, str]
    ) -> None:
        queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        async def deliver() -> None:
            while (item := await queue.get()) is not None:
                due, data = item
                await asyncio.sleep(max(due - loop.time(), 0.0))
                sink.write(data)
                await sink.drain()
            sink.close()

        delivery = asyncio.create_task(deliver())
        try:
            while data := await source.read(1 << 16):
                if who == "client" and said["last"] == "server":
                    self._trips += 1
                    self._count()
                said["last"] = who
                queue.put_nowait((loop.time() + self._seconds, data))
        finally:
            queue.put_nowait(None)
            await delivery

    def _count(self) -> None:
        whole = self._file.with_suffix(".next")  # a reader finds the old number or the new one
        whole.write_text(str(self._trips))
        whole.replace(self._file)


if __name__ == "__main__":
    listen, target, milliseconds, file = sys.argv[1:]
    asyncio.run(Proxy(target, float(milliseconds) / 2000, Path(file)).serve(listen))
