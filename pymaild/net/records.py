"""Records of TLS 1.3 (RFC 8446 §5) for connections whose handshake OpenSSL has done.

What OpenSSL keeps for a connection takes 22 KiB for as long as it lasts, and most connections
of a mail server say nothing for most of that time. What they need until then is a secret and a
counter for each direction. Ciphers are those of OpenSSL, and made anew for each burst of records.

No record is sent under a key that OpenSSL has used already: :func:`keys` go on behind the last
record of OpenSSL's, and only when all of them are authentic under the secret it was given.
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from OpenSSL import SSL

from pymaild.net.wire import Wire

HEADER = 5  # octets before each record
LARGEST = 16384  # octets that a record may carry (RFC 8446 §5.1)
_OVERHEAD = 256  # octets that a protected record may have beyond them (RFC 8446 §5.2)
_LONGEST = HEADER + LARGEST + _OVERHEAD
_TAG = 16
_MOST_RECORDS = 1 << 24  # under one key (RFC 8446 §5.5)
_MOST_EMPTY = 32  # records in a row that carry nothing for the session

ALERT, HANDSHAKE, DATA = 21, 22, 23
_CLOSE_NOTIFY = b"\x01\x00"
_USER_CANCELED = 90  # means nothing by itself (RFC 8446 §6.1)
_UNEXPECTED, _BAD_MAC, _OVERFLOW, _DECODE = 10, 20, 22, 50
_KEY_UPDATE = b"\x18\x00\x00\x01"  # its last octet follows: whether the other side is to do so too


class Suite(NamedTuple):
    """A cipher suite (RFC 8446 §B.4)."""

    digest: str
    hash_size: int
    key_size: int
    cipher: Callable[[bytes], AESGCM | ChaCha20Poly1305]


SUITES: Final = {
    "TLS_AES_128_GCM_SHA256": Suite("sha256", 32, 16, AESGCM),
    "TLS_AES_256_GCM_SHA384": Suite("sha384", 48, 32, AESGCM),
    "TLS_CHACHA20_POLY1305_SHA256": Suite("sha256", 32, 32, ChaCha20Poly1305),
}


class Key:
    """Protects the records of one direction (RFC 8446 §5.2, §5.3, §7.3)."""

    __slots__ = ("_cipher", "_iv", "_key", "_secret", "_suite", "number")

    def __init__(self, suite: Suite, secret: bytes) -> None:
        self._suite = suite
        self._secret = secret
        self._cipher: AESGCM | ChaCha20Poly1305 | None = None
        self._key = b""
        self._iv = 0
        self.number = 0  # of the next record

    def seal(self, kind: int, data: bytes) -> bytes:
        """Return a record with at most LARGEST octets."""
        header = b"\x17\x03\x03" + (len(data) + 1 + _TAG).to_bytes(2)
        inner = b"".join((data, bytes((kind,))))
        return header + self._armed().encrypt(self._nonce(), inner, header)

    def open(self, record: bytes) -> bytes:
        """Return content, kind and padding of a record. Raises InvalidTag."""
        cipher = self._armed()
        return cipher.decrypt(self._nonce(), record[HEADER:], record[:HEADER])

    def update(self) -> None:
        """Go on with the next secret (RFC 8446 §7.2)."""
        self._secret = self._expanded(b"traffic upd", self._suite.hash_size)
        self._key = b""
        self._cipher = None
        self.number = 0

    def rest(self) -> None:
        """Keep no more than what the next record needs."""
        self._cipher = None

    def _armed(self) -> AESGCM | ChaCha20Poly1305:
        if self._cipher is None:
            if not self._key:
                self._key = self._expanded(b"key", self._suite.key_size)
                self._iv = int.from_bytes(self._expanded(b"iv", 12))
            self._cipher = self._suite.cipher(self._key)
        return self._cipher

    def _nonce(self) -> bytes:
        number = self.number
        self.number += 1
        return (self._iv ^ number).to_bytes(12)

    def _expanded(self, label: bytes, size: int) -> bytes:
        """HKDF-Expand-Label without context (RFC 8446 §7.1); ``size`` is that of a hash at most."""
        name = b"tls13 " + label
        info = b"".join((size.to_bytes(2), bytes((len(name),)), name, b"\x00\x01"))
        return hmac.digest(self._secret, info, self._suite.digest)[:size]


class Records(Wire):
    """A connection after its handshake; it behaves and raises as pyOpenSSL's do."""

    __slots__ = ("_empty", "_in", "_out", "_sealed")

    def __init__(self, sock: socket.socket, incoming: Key, outgoing: Key) -> None:
        super().__init__(sock)
        self._in = incoming
        self._out = outgoing
        self._sealed = False  # all of what ``send`` was called with is in the output
        self._empty = 0

    def recv(self, size: int) -> bytes:
        """Return what a record carries; ``size`` is LARGEST at least."""
        while True:
            while not (length := self._whole()):
                self._input += self.take(_LONGEST)
            record, self._input = self._input[:length], self._input[length:]
            kind, data = self._opened(record)
            if kind == DATA and data:
                self._empty = 0
                return data
            self._empty += 1
            if self._empty > _MOST_EMPTY:
                raise self._failed(_UNEXPECTED, "too many records for nothing")
            self._attend(kind, data)

    def pending(self) -> int:
        """Return the length of the whole record that is here already, or 0."""
        return self._whole()

    def send(self, data: bytes) -> int:
        """Send ``data``; raises WantWriteError as long as not all of it was taken.

        Then it is to be called again with the same data.
        """
        if not self._sealed:
            places = range(0, len(data), LARGEST)
            self.queue(b"".join([self._protected(DATA, data[at : at + LARGEST]) for at in places]))
            self._out.rest()
            self._sealed = True
        self.flush()
        self._sealed = False
        return len(data)

    def shutdown(self) -> bool:
        """Say close_notify (RFC 8446 §6.1)."""
        self.queue(self._protected(ALERT, _CLOSE_NOTIFY))
        self.flush()
        return True

    def _whole(self) -> int:
        """Return the length of the first record, 0 when not all of it is here.

        Of one that cannot be it is that of the header.
        """
        if len(self._input) < HEADER:
            return 0
        length = HEADER + int.from_bytes(self._input[3:HEADER])
        if self._input[0] != DATA or length > _LONGEST:
            return HEADER
        return length if len(self._input) >= length else 0

    def _opened(self, record: bytes) -> tuple[int, bytes]:
        """Return the kind of a record, and its content (RFC 8446 §5.2, §5.4)."""
        if record[0] != DATA:
            raise self._failed(_UNEXPECTED, "a record without protection")
        if int.from_bytes(record[3:HEADER]) > LARGEST + _OVERHEAD:
            raise self._failed(_OVERFLOW, "a record is too large")
        try:
            inner = self._in.open(record).rstrip(b"\0")
        except InvalidTag:
            raise self._failed(_BAD_MAC, "a record is not authentic") from None
        if len(record) <= LARGEST:  # the last of a burst, most likely
            self._in.rest()
        if not inner:
            raise self._failed(_UNEXPECTED, "a record of no kind")
        if len(inner) > LARGEST + 1:
            raise self._failed(_OVERFLOW, "a record carries too much")
        return inner[-1], inner[:-1]

    def _attend(self, kind: int, data: bytes) -> None:
        """Do what a record that is not for the session asks for."""
        if kind == ALERT:
            self._alerted(data)
        elif kind == HANDSHAKE and data[:-1] == _KEY_UPDATE and data[-1] < 2:
            self._updated(bool(data[-1]))
        elif kind != DATA:
            raise self._failed(_UNEXPECTED, f"a record of kind {kind} that has no place here")

    def _alerted(self, alert: bytes) -> None:
        if len(alert) != 2:
            raise self._failed(_DECODE, "an alert of another length")
        if alert[1] == 0:
            raise SSL.ZeroReturnError
        if alert[1] != _USER_CANCELED:
            raise SSL.Error(f"alert {alert[1]} of the client")

    def _updated(self, ours_too: bool) -> None:
        """The client's key changes here (RFC 8446 §4.6.3)."""
        self._in.update()
        if ours_too:
            self.queue(self._new_key())
            self.push()

    def _new_key(self) -> bytes:
        record = self._out.seal(HANDSHAKE, _KEY_UPDATE + b"\0")
        self._out.update()
        return record

    def _protected(self, kind: int, data: bytes) -> bytes:
        before = self._new_key() if self._out.number >= _MOST_RECORDS else b""
        return before + self._out.seal(kind, data)

    def _failed(self, alert: int, text: str) -> SSL.Error:
        """Tell the client, as far as its socket takes that; returns what is to be raised."""
        self.queue(self._protected(ALERT, bytes((2, alert))))
        self.push()
        return SSL.Error(text)


def keys(suite: str, client: bytes, server: bytes, said: bytes) -> tuple[Key, Key] | None:
    """Return what protects the client's and the server's records after a handshake.

    ``client`` and ``server`` are their first traffic secrets, ``said`` all that OpenSSL has sent
    under the latter: session tickets. None where that is not so.
    """
    if suite not in SUITES:
        return None
    outgoing = Key(SUITES[suite], server)
    while said:
        end = HEADER + int.from_bytes(said[3:HEADER])
        try:
            inner = outgoing.open(said[:end]).rstrip(b"\0")
        except InvalidTag:
            return None
        if inner[-1:] != bytes((HANDSHAKE,)):
            return None
        said = said[end:]
    outgoing.rest()
    return Key(SUITES[suite], client), outgoing
