"""A server's handshake, and the connection that comes of it.

OpenSSL is given one record at a time, so that none of those behind the handshake is lost in it,
and what it sends passes here, so that it is known how many records that were.
"""

from __future__ import annotations

import socket
from typing import Final, TypeVar

from OpenSSL import SSL

from pymaild.net.records import HEADER, LARGEST, Records, keys
from pymaild.net.relay import Connection
from pymaild.net.wire import Wire

_PIECE = HEADER + LARGEST + 2048  # octets: the largest record there is (RFC 5246 §6.2.3)
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_MAX_FRAGMENT_LENGTH, _RECORD_SIZE_LIMIT = 1, 28  # extensions (RFC 6066 §4, RFC 8449 §4)

_Any = TypeVar("_Any", bound=Wire)

#: What lines of the key log are kept: the secrets for what comes after the handshake.
_SECRETS: Final = {b"CLIENT_TRAFFIC_SECRET_0": 0, b"SERVER_TRAFFIC_SECRET_0": 1}


def keep_secret(connection: SSL.Connection, line: bytes) -> None:
    """Take a line of OpenSSL's key log, which is kept nowhere: see :class:`Handshake`."""
    label, _, rest = line.partition(b" ")
    secrets = connection.get_app_data()
    if label in _SECRETS and secrets is not None:
        secrets[_SECRETS[label]] = bytes.fromhex(rest.rpartition(b" ")[2].decode())


class Buffered(Wire):
    """A connection of OpenSSL, between which and the socket octets are carried here."""

    __slots__ = ("_held", "tls")

    def __init__(self, sock: socket.socket, connection: SSL.Connection) -> None:
        super().__init__(sock)
        self.tls = connection
        self._held = 0  # octets of what ``send`` was called with that OpenSSL has

    def recv(self, size: int) -> bytes:
        """Return 1 to ``size`` octets."""
        while True:
            try:
                return self.tls.recv(size)
            except SSL.WantReadError:
                self.carry()
                self.feed()
            except SSL.Error:
                self._collect()  # the alert that says why
                self.push()
                raise

    def pending(self) -> int:
        """Return how many octets can be had without further input."""
        return self.tls.pending() or self._whole()

    def send(self, data: bytes) -> int:
        """Send a record; returns how many octets. To be called again after WantWriteError."""
        self._held = self._held or self.tls.send(data)
        self.carry()
        sent, self._held = self._held, 0
        return sent

    def shutdown(self) -> bool:
        """Say close_notify."""
        self.tls.shutdown()
        self.carry()
        return True

    def carry(self) -> None:
        """Send what OpenSSL has to send. Raises WantWriteError, SysCallError."""
        self._collect()
        self.flush()

    def feed(self) -> bytes:
        """Give OpenSSL one more record, and return it. Raises WantReadError, SysCallError."""
        while not (length := self._whole()):
            self._input += self.take(_PIECE)
        record, self._input = self._input[:length], self._input[length:]
        self.tls.bio_write(record)
        return record

    def _collect(self) -> bytes:
        said = b""
        try:
            while len(piece := self.tls.bio_read(_PIECE)) == _PIECE:
                said += piece
            said += piece
        except SSL.WantReadError:
            pass
        self.queue(said)
        return said

    def _whole(self) -> int:
        """Return the length of the first record, 0 when not all is here.

        What is no record of TLS goes to OpenSSL at once, which says what is wrong with it.
        """
        if len(self._input) < HEADER:
            return 0
        size = int.from_bytes(self._input[3:HEADER])
        if self._input[0] not in range(20, 25) or size > _PIECE - HEADER:
            return len(self._input)
        return HEADER + size if len(self._input) >= HEADER + size else 0


class Handshake(Buffered):
    """A handshake with a client at ``sock``."""

    __slots__ = ("_done", "_hello", "_said", "_secrets")

    def __init__(self, context: SSL.Context, sock: socket.socket) -> None:
        super().__init__(sock, SSL.Connection(context, None))
        self._done = False
        self._hello = b""  # the first record
        self._said = b""  # all that was sent behind the handshake
        self._secrets = [b"", b""]
        self.tls.set_app_data(self._secrets)
        self.tls.set_accept_state()

    def go_on(self) -> None:
        """Return when the handshake is done. Raises what SSL.Connection.do_handshake does."""
        self.flush()
        while not self._done:
            record = self.feed()
            self._hello = self._hello or record
            try:
                self.tls.do_handshake()
            except SSL.WantReadError:
                self.carry()
            except SSL.Error:
                self._collect()
                self.push()
                raise
            else:
                self._done = True
                self._said = self._collect()
                self._finish()

    def connection(self) -> Connection:
        """Return what to go on with; the handshake is done."""
        self.tls.set_app_data(None)
        if self.tls.get_protocol_version() == SSL.TLS1_3_VERSION and any_size(self._hello):
            name = self.tls.get_cipher_name() or ""
            client, server = self._secrets
            if pair := keys(name, client, server, self._said):
                return self._followed_by(Records(self._sock, *pair))
        return self._followed_by(Buffered(self._sock, self.tls))

    def _followed_by(self, connection: _Any) -> _Any:
        connection.follow(self)
        return connection

    def _finish(self) -> None:
        """Send the last of it; what a client that reads no more has said counts all the same.

        In TLS 1.3 these are tickets (RFC 8446 §4.6.1), which nobody waits for: they go with
        what is sent next, and so in the same packet.
        """
        if self.tls.get_protocol_version() == SSL.TLS1_3_VERSION:
            return
        try:
            self.flush()
        except SSL.SysCallError:
            return


def any_size(hello: bytes) -> bool:
    """Whether records for the client that began with this record may be of any size."""
    if len(hello) < HEADER + 39 or hello[0] != _HANDSHAKE or hello[HEADER] != _CLIENT_HELLO:
        return False
    length = int.from_bytes(hello[HEADER + 1 : HEADER + 4])
    body = hello[HEADER + 4 : HEADER + 4 + length]
    at = 34  # behind version and random (RFC 8446 §4.1.2)
    for width in (1, 2, 1):  # session id, cipher suites, compression
        at += width + int.from_bytes(body[at : at + width])
    end = at + 2 + int.from_bytes(body[at : at + 2])
    if len(body) != length or end > length:
        return False  # it goes on in another record
    at += 2
    while at < end:
        kind, size = int.from_bytes(body[at : at + 2]), int.from_bytes(body[at + 2 : at + 4])
        value = int.from_bytes(body[at + 4 : at + 4 + size])
        if kind == _MAX_FRAGMENT_LENGTH or (kind == _RECORD_SIZE_LIMIT and value <= LARGEST):
            return False
        at += 4 + size
    return True
