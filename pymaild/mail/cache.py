"""The cache entry of a message: what FETCH and SEARCH ask for, computed once.

Layout: a CRC-32 over all behind it, six lengths (little-endian, 32 bits), then the six parts.
An entry is never changed; one that does not check is dropped and made anew.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from pymaild.mime import bodystructure, envelope, headers, parts, scan
from pymaild.mime.text import fold, header_texts

_HEAD = struct.Struct("<7I")

#: The header fields kept in wire form: what clients ask for to show a list of messages.
FIELDS = frozenset(
    b"FROM TO CC BCC SUBJECT DATE MESSAGE-ID REFERENCES IN-REPLY-TO REPLY-TO SENDER "
    b"CONTENT-TYPE CONTENT-DISPOSITION CONTENT-TRANSFER-ENCODING MIME-VERSION LIST-ID LIST-POST "
    b"LIST-UNSUBSCRIBE NEWSGROUPS PRIORITY X-PRIORITY IMPORTANCE X-LABEL RESENT-FROM "
    b"DISPOSITION-NOTIFICATION-TO X-SPAM-STATUS X-SPAM-FLAG X-MAILER USER-AGENT LINES "
    b"X-MOZILLA-STATUS ERRORS-TO DELIVERED-TO RETURN-PATH".split()
)

#: The fields whose decoded text is kept for SEARCH, in the order of ``keys``.
KEYS = (b"SUBJECT", b"FROM", b"TO", b"CC", b"BCC")

LARGEST = 1 << 20  # octets of an entry; a message whose entry is larger is not cached


class Entry(NamedTuple):
    """``envelope``, ``structure`` (BODYSTRUCTURE) and ``body`` (BODY) are in wire form.

    ``parts``: the packed part tree; ``fields``: header lines of FIELDS in CRLF form with the
    empty line; ``keys``: folded UTF-8 texts of KEYS, NUL between them.
    """

    envelope: bytes
    structure: bytes
    body: bytes
    parts: bytes
    fields: bytes
    keys: bytes


def build(data: bytes, tree: parts.Part) -> Entry:
    """Compute the entry of a message. ``data``: the file as stored."""
    header = bytes(data[tree.header_start : tree.header_end])
    return Entry(
        envelope.envelope(header),
        bodystructure.bodystructure(data, tree, True),
        bodystructure.bodystructure(data, tree, False),
        parts.pack(tree),
        headers.select(header, FIELDS, False),
        b"\0".join(_key(header, name) for name in KEYS),
    )


def _key(header: bytes, name: bytes) -> bytes:
    text = "\n".join(header_texts(header, name))
    return fold(text).replace("\0", " ").encode("utf-8", "replace")


def encode(entry: Entry) -> bytes:
    """Return an entry's octets."""
    body = b"".join((struct.pack("<6I", *map(len, entry)), *entry))
    return struct.pack("<I", zlib.crc32(body)) + body


def decode(octets: bytes) -> Entry | None:
    """Read what :func:`encode` made; None for anything else."""
    if len(octets) < _HEAD.size:
        return None
    check, *lengths = _HEAD.unpack_from(octets)
    if zlib.crc32(memoryview(octets)[4:]) != check or sum(lengths) + _HEAD.size != len(octets):
        return None
    pieces, place = [], _HEAD.size
    for length in lengths:
        pieces.append(octets[place : place + length])
        place += length
    return Entry(*pieces)


__all__ = ["FIELDS", "KEYS", "LARGEST", "Entry", "build", "decode", "encode", "scan"]
