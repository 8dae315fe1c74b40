"""A non-blocking socket under a connection that raises what pyOpenSSL's connections raise."""

from __future__ import annotations

import socket

from OpenSSL import SSL


class Wire:
    """Takes octets from ``sock``, and keeps those that it has not taken yet."""

    __slots__ = ("_input", "_output", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._input = b""
        self._output = b""

    def follow(self, other: Wire) -> None:
        """Go on with what the other has received and not used, and has not sent yet."""
        self._input, self._output = other._input, other._output

    def take(self, size: int) -> bytes:
        """Return 1 to ``size`` octets. Raises WantReadError, SysCallError."""
        try:
            data = self._sock.recv(size)
        except BlockingIOError:
            raise SSL.WantReadError from None
        except OSError as error:
            raise SSL.SysCallError(error.errno, error.strerror) from error
        if not data:
            raise SSL.SysCallError(-1, "Unexpected EOF")
        return data

    def queue(self, data: bytes) -> None:
        """Send this with the next :meth:`flush`."""
        self._output += data

    def flush(self) -> None:
        """Send all that is left. Raises WantWriteError, SysCallError."""
        while self._output:
            try:
                sent = self._sock.send(self._output, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                raise SSL.WantWriteError from None
            except OSError as error:
                raise SSL.SysCallError(error.errno, error.strerror) from error
            self._output = self._output[sent:]

    def push(self) -> None:
        """Send what can be sent now; the rest goes before what is sent next."""
        try:
            self.flush()
        except SSL.Error:
            return
