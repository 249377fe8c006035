"""A proxy before Postgres that loses the answer to one statement: the server carries it out, the client never knows.

It follows the protocol as far as that needs: after the start of a connection every message has a type and a length, a
statement is a message of the type Q, and the answer to it ends with one of the type Z.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Thread

STATEMENT, READY = b"Q", b"Z"
SSL_REQUEST = 80877103


class Lossy:
    """Listens on `port` of loopback and passes all connections on to `target`."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.statements = 0
        """That have come so far."""
        self.lose: int | None = None
        """Of which the answer is lost, counted from 0."""
        self._target = target
        self._counting = Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def begin(self, lose: int | None) -> None:
        """Count from 0 again."""
        with self._counting:
            self.statements, self.lose = 0, lose

    def close(self) -> None:
        """Listen no longer."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self._target) as server:
            self._pass_start(client, server)
            lost: list[bool] = []
            answers = Thread(target=_pass_answers, args=(server, client, lost), daemon=True)
            answers.start()
            for kind, message in _messages(client):
                if kind == STATEMENT and self._is_to_be_lost():
                    lost.append(True)
                server.sendall(message)
            server.shutdown(socket.SHUT_WR)
            answers.join()

    def _is_to_be_lost(self) -> bool:
        with self._counting:
            self.statements += 1
            return self.lose is not None and self.statements == self.lose + 1

    def _pass_start(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            length = _exactly(client, 4)
            packet = length + _exactly(client, struct.unpack("!i", length)[0] - 4)
            server.sendall(packet)
            if struct.unpack("!i", packet[4:8])[0] != SSL_REQUEST:
                return
            client.sendall(_exactly(server, 1))  # the tests' server has no TLS


def _pass_answers(server: socket.socket, client: socket.socket, lost: list[bool]) -> None:
    with suppress(OSError):
        for kind, message in _messages(server):
            if not lost:
                client.sendall(message)
            elif kind == READY:
                break
        client.shutdown(socket.SHUT_RDWR)
        server.shutdown(socket.SHUT_RDWR)


def _messages(source: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    with suppress(EOFError):
        while True:
            head = _exactly(source, 5)
            yield head[:1], head + _exactly(source, struct.unpack("!i", head[1:])[0] - 4)


def _exactly(source: socket.socket, count: int) -> bytes:
    read = bytearray()
    while len(read) < count:
        more = source.recv(count - len(read))
        if not more:
            raise EOFError
        read += more
    return bytes(read)


@contextmanager
def lossy(host: str, port: int) -> Iterator[Lossy]:
    """A proxy for the time of the block."""
    proxy = Lossy((host, port))
    try:
        yield proxy
    finally:
        proxy.close()
