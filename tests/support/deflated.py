"""The client's side of COMPRESS=DEFLATE (RFC 4978)."""

from __future__ import annotations

import zlib
from typing import Any

from .imap import Imap


class DeflatedSocket:
    """Looks like a socket; what is sent is deflated, what comes is inflated.

    ``octets`` counts what came over the wire. ``flush`` says how each write ends, and ``window``
    how far back its compressor looks.
    """

    def __init__(
        self, sock: Any, before: bytes = b"", flush: int = zlib.Z_SYNC_FLUSH, window: int = 15
    ) -> None:
        self.sock = sock
        self.flush = flush
        self.octets = 0
        self._before = before
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, -window)
        self._inflate = zlib.decompressobj(-15)

    def packed(self, data: bytes) -> bytes:
        """What ``data`` is on the wire."""
        return self._deflate.compress(data) + self._deflate.flush(self.flush)

    def sendall(self, data: bytes) -> None:
        self.sock.sendall(self.packed(data))

    def recv(self, size: int) -> bytes:
        while True:
            data, self._before = self._before or self.sock.recv(size), b""
            self.octets += len(data)
            inflated = self._inflate.decompress(data)
            if inflated or not data:
                return inflated

    def settimeout(self, timeout: float | None) -> None:
        self.sock.settimeout(timeout)

    def shutdown(self, how: int) -> None:
        self.sock.shutdown(how)

    def close(self) -> None:
        self.sock.close()


def compress(imap: Imap, **options: Any) -> DeflatedSocket:
    """Have a client's connection compressed."""
    imap.ok("Compress Deflate")
    return deflate(imap, **options)


def deflate(imap: Imap, **options: Any) -> DeflatedSocket:
    """Compress from here on: the server has said that it does."""
    before, imap.buffer = imap.buffer, b""
    wrapped = DeflatedSocket(imap.socket, before, **options)
    imap.socket = wrapped  # type: ignore[assignment]
    return wrapped
