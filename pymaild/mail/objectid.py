"""Names of messages and threads that follow from their content (RFC 8474 §5), and of mailboxes.

So the former are the same for each copy, in each mailbox, and after any loss of the index.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from pymaild.mail.reserving import reserved
from pymaild.mime._crlf import to_crlf
from pymaild.mime._fields import collect
from pymaild.mime.octets import Octets
from pymaild.storage import control
from pymaild.storage.maildir import LineEnds

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

LENGTH = 44  # octets of an EMAILID and of a THREADID: a letter, and 256 bits in base64url

_PIECE = 1 << 17
_MESSAGE_ID = re.compile(rb"<([^<>\s]{1,998})>")
_ANCESTRY = {b"REFERENCES": 0, b"IN-REPLY-TO": 1, b"MESSAGE-ID": 2}


def object_ids(data: Octets, header: bytes) -> bytes:
    """Return EMAILID and THREADID, one behind the other. ``data``: the file as stored."""
    email = content_digest(data)
    root = _root(header)
    thread = sha256(b"thread " + (root or email)).digest()
    return _encoded(b"M", email) + _encoded(b"T", thread)


def _encoded(letter: bytes, digest: bytes) -> bytes:
    return letter + urlsafe_b64encode(digest).rstrip(b"=")


def _root(header: bytes) -> bytes:
    """The Message-ID that began the message's thread, b"" where none is named."""
    for values in collect(header, _ANCESTRY):
        found = _MESSAGE_ID.search(values[0]) if values else None
        if found:
            return found[1]
    return b""


def content_digest(data: Octets) -> bytes:
    """Return the SHA-256 of a message with LF line ends: files differ in these, messages do not.

    A CRLF that stands behind a CR is content, as it is for :class:`LineEnds`.
    """
    found = sha256()
    for piece in _pieces(data):
        if b"\r" in piece:
            return _digest_of_wire(data)
        found.update(piece)
    return found.digest()


def _digest_of_wire(data: Octets) -> bytes:
    found = sha256()
    for piece in LineEnds().convert(_wire(data)):
        found.update(piece)
    return found.digest()


def _wire(data: Octets) -> Iterator[bytes]:
    previous = 0
    for piece in _pieces(data):
        yield to_crlf(piece, previous)
        previous = piece[-1]


def _pieces(data: Octets) -> Iterator[bytes]:
    for start in range(0, len(data), _PIECE):
        yield bytes(data[start : start + _PIECE])


def new_mailboxid(mailbox: Mailbox) -> str:
    """Give a mailbox a name that stays with it, unless it has got one just now."""
    with mailbox.settled():
        held = reserved(mailbox, mailbox.index)
        held.mailboxid = held.mailboxid or control.new_mailboxid()
        held.save(mailbox.directory, mailbox.settings.fsync)
        return held.mailboxid
