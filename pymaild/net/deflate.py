"""A client's connection in DEFLATE form (RFC 1951, RFC 4978), as a relay sees it."""

from __future__ import annotations

import socket
import zlib

from OpenSSL import SSL

#: Octets of deflated data taken at a time: they inflate to a thousand times as many at most.
PIECE = 8192
_WIDEST = 15  # the window clients may use, as a power of two: all that the format has


class Deflated:
    """Inflates what comes and deflates what goes; it speaks as a TLS connection does.

    ``sock`` is non-blocking, ``before`` has been read from it already. What is inflated at a
    time, and so what has to be kept, is bounded by who reads it. ``window`` is that of our own
    data, as a power of two: with all it needs it takes 8 << ``window`` octets of memory.
    """

    def __init__(self, sock: socket.socket, before: bytes, level: int, window: int) -> None:
        self._sock = sock
        self._inflate = zlib.decompressobj(-_WIDEST)
        self._level, self._window = level, window
        self._deflate: zlib._Compress | None = None
        self._input = before
        self._more = False  # the last piece was full: there may be more without further input
        self._output = b""

    def recv(self, size: int) -> bytes:
        """Return 1 to ``size`` octets. Raises what pyOpenSSL raises."""
        while True:
            if self.pending():
                if data := self._inflated(size):
                    return data
                if self._inflate.eof:
                    raise SSL.ZeroReturnError
            else:
                self._receive()

    def pending(self) -> int:
        """Return 0 when nothing can come without further input."""
        return int(bool(self._input) or self._more or self._inflate.eof)

    def send(self, data: bytes) -> int:
        """Send ``data`` so that it can be inflated at once; returns its length.

        Raises WantWriteError as long as not all has been taken: then it is to be called again
        with the same data.
        """
        if not self._output:
            deflate = self._deflate = self._deflate or self._begun()
            self._output = deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)
        while self._output:
            try:
                sent = self._sock.send(self._output, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                raise SSL.WantWriteError from None
            except OSError as error:
                raise SSL.SysCallError(error.errno, error.strerror) from error
            self._output = self._output[sent:]
        return len(data)

    def shutdown(self) -> bool:
        """Say nothing more: all that was sent can be inflated without a last block."""
        return True

    def rest(self) -> None:
        """Forget what was sent: what comes next is a stream that does not look back at it.

        Each piece ends at an octet's boundary and with no last block (RFC 1951 §3.2.4), so that
        for the client this is the same stream. What it says may look back all the same.
        """
        self._deflate = None

    def _begun(self) -> zlib._Compress:
        return zlib.compressobj(self._level, zlib.DEFLATED, -self._window, max(self._window - 7, 1))

    def _inflated(self, size: int) -> bytes:
        """Return what the input comes to; behind a last block (RFC 1951 §3.2.3) nothing does."""
        try:
            data = self._inflate.decompress(self._input, size)
        except zlib.error as error:
            raise SSL.Error(str(error)) from error
        self._input = b"" if self._inflate.eof else self._inflate.unconsumed_tail
        self._more = len(data) == size
        return data

    def _receive(self) -> None:
        try:
            self._input = self._sock.recv(PIECE)
        except BlockingIOError:
            raise SSL.WantReadError from None
        except OSError as error:
            raise SSL.SysCallError(error.errno, error.strerror) from error
        if not self._input:
            raise SSL.ZeroReturnError
