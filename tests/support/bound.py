"""A client whose TLS knows its channel binding (RFC 9266); Python's own module does not."""

from __future__ import annotations

import socket
import struct

from OpenSSL import SSL

from .imap import Address, Closed, Imap


class _Socket:
    """A TLS connection that looks like a socket to the client."""

    def __init__(self, connection: SSL.Connection, plain: socket.socket) -> None:
        self._connection, self._plain = connection, plain

    def sendall(self, data: bytes) -> None:
        self._connection.sendall(data)

    def recv(self, size: int) -> bytes:
        try:
            return self._connection.recv(size)
        except SSL.ZeroReturnError:
            return b""
        except SSL.WantReadError:
            raise TimeoutError from None
        except SSL.SysCallError as error:
            raise Closed(str(error)) from None

    def close(self) -> None:
        self._plain.close()


class BoundImap(Imap):
    """A connection with TLS from the first octet, or after :meth:`upgrade`.

    ``binding`` is the value of tls-exporter. No certificate is checked: what is tested is how
    the server binds.
    """

    binding = b""

    def __init__(self, address: Address, implicit: bool = True, version: int = 0) -> None:
        self._implicit, self._version = implicit, version
        super().__init__(address)

    def _open(self, address: Address, timeout: float, tls: object) -> None:
        super()._open(address, timeout, None)
        if self._implicit:
            self._wrap()

    def upgrade(self) -> None:
        """STARTTLS."""
        self.ok("STARTTLS")
        self._wrap()

    def _wrap(self) -> None:
        plain = self.socket
        plain.settimeout(None)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 20, 0))
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if self._version:
            context.set_max_proto_version(self._version)
        connection = SSL.Connection(context, plain)
        connection.set_connect_state()
        connection.do_handshake()
        self.binding = connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        self.socket = _Socket(connection, plain)  # type: ignore[assignment]
