"""The cache entry of a message: what FETCH and SEARCH ask for, computed once.

Layout, numbers of 32 bits, little-endian: a check over all behind the second number, the length
of the whole, the length of each part, then the parts, and zeros up to a multiple of eight
octets. Cython reads the same form (_entry.pxd). An entry never changes; one that does not check
is made anew. ``sort`` and ``thread`` are read without the rest: each has its own seal, and they
stand in front, where one look into memory brings them.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pymaild.index import checksum
from pymaild.mail.objectid import object_ids
from pymaild.mime import bodystructure, envelope, headers, order, parts, preview, text
from pymaild.mime._fields import collect
from pymaild.mime._wire import string
from pymaild.mime.octets import Octets

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
_KEY_PLACES = {name: place for place, name in enumerate(KEYS)}

SEAL = 8  # octets of check and length in front of a sealed part
LARGEST = 1 << 20  # octets of an entry; a message whose entry is larger is not cached


class Entry(NamedTuple):
    """``envelope``, ``structure`` (BODYSTRUCTURE) and ``body`` (BODY) are in wire form.

    ``parts``: the packed part tree; ``fields``: header lines of FIELDS in CRLF form with the
    empty line; ``keys``: folded UTF-8 texts of KEYS, NUL between them. ``preview`` (RFC 8970) is
    a string in wire form; ``digest``: EMAILID and THREADID (RFC 8474), one behind the other.
    ``sort`` and ``thread``: the keys of :mod:`pymaild.mime.order`, each sealed: a check of 32
    bits and the length in front.
    """

    sort: bytes
    thread: bytes
    keys: bytes
    parts: bytes
    digest: bytes
    preview: bytes
    envelope: bytes
    structure: bytes
    body: bytes
    fields: bytes


_LENGTHS = struct.Struct(f"<{len(Entry._fields)}I")
_HEAD = struct.Struct(f"<{2 + len(Entry._fields)}I")


def build(data: Octets, tree: parts.Part) -> Entry:
    """Compute the entry of a message. ``data``: the file as stored."""
    header = bytes(data[tree.header_start : tree.header_end])
    text.classify(data, tree)
    return Entry(
        sealed(order.sort_keys(header)),
        sealed(order.thread_keys(header)),
        b"\0".join(map(_key, collect(header, _KEY_PLACES))),
        parts.pack(tree),
        object_ids(data, header),
        string(preview.preview(data, tree).encode("utf-8", "replace")),
        envelope.envelope(header),
        *bodystructure.structures(data, tree),
        headers.select(header, FIELDS, False),
    )


def sealed(keys: bytes) -> bytes:
    """Return keys with their seal. Their length is a multiple of eight octets."""
    return struct.pack("<2I", checksum(keys), len(keys)) + keys


def key(header: bytes, name: bytes) -> bytes:
    """Return the folded text of one of KEYS, as ``keys`` has it."""
    return _key(collect(header, {name: 0})[0])


def _key(values: list[bytes] | None) -> bytes:
    joined = "\n".join(text.value_texts(values))
    return text.fold(joined).replace("\0", " ").encode("utf-8", "replace")


def encode(entry: Entry) -> bytes:
    """Return an entry's octets."""
    used = _HEAD.size + sum(map(len, entry))
    padding = bytes(-used % 8)
    body = b"".join((_LENGTHS.pack(*map(len, entry)), *entry, padding))
    return struct.pack("<2I", checksum(body), len(body) + 8) + body


def decode(octets: bytes) -> Entry | None:
    """Read what :func:`encode` made; None for anything else."""
    if len(octets) < _HEAD.size or len(octets) % 8:
        return None
    check, length, *lengths = _HEAD.unpack_from(octets)
    if length != len(octets) or checksum(octets[8:]) != check:
        return None
    pieces, place = [], _HEAD.size
    for size in lengths:
        pieces.append(octets[place : place + size])
        place += size
    return Entry(*pieces)


__all__ = [
    "FIELDS",
    "KEYS",
    "LARGEST",
    "SEAL",
    "Entry",
    "build",
    "decode",
    "encode",
    "key",
    "sealed",
]
