"""What SORT and THREAD compare, packed for the cache and for single messages.

RFC 5256 §2 and §3, RFC 5957 §3. Both forms are little-endian and a multiple of eight octets long.

Sort keys: flags and the lengths of six keys as numbers of 32 and six times 16 bits, the sent date
as a signed number of 64 bits, the keys in the order of STRINGS, zeros. Thread keys: a number of
64 bits, how many references there are, then identities of 16 octets: the message's own, zeros
where it has none, and those of its references, the first one first.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from hashlib import blake2b

from pymaild.mime import addresses
from pymaild.mime._fields import collect, unfold
from pymaild.mime.collation import Prepare, unicode_casemap
from pymaild.mime.dates import sent_date
from pymaild.mime.headers import decode_exactly
from pymaild.mime.octets import Octets
from pymaild.mime.subject import Subject, base_subject

#: The keys that are texts, in the order in which they are packed.
STRINGS = ("SUBJECT", "FROM", "TO", "CC", "DISPLAYFROM", "DISPLAYTO")

REPLY = 1  # flag: the subject is that of a reply or a forward
WIDE = 2  # flag: the header has octets beyond ASCII

NO_DATE = -(1 << 63)  # there is no sent date: INTERNALDATE counts (RFC 5256 §2.2)
LONGEST_KEY = 512  # octets of a key; behind as many of a longer one stands its digest
MOST_REFERENCES = 100  # of one message: the last ones, which are the nearest

_SORT = struct.Struct("<I6Hq")
_THREAD = struct.Struct("<Q")
_DIGEST = 16

_FIELDS = {b"DATE": 0, b"SUBJECT": 1, b"FROM": 2, b"TO": 3, b"CC": 4}
_IDS = {b"MESSAGE-ID": 0, b"REFERENCES": 1, b"IN-REPLY-TO": 2}


def sort_keys(header: Octets, prepare: Prepare = unicode_casemap) -> bytes:
    """Return the sort keys of a message header, its texts compared as ``prepare`` says."""
    dates, subjects, authors, to, cc = collect(header, _FIELDS)
    subject, reply = _subject(subjects[0] if subjects else b"", prepare)
    author, recipient, copied = map(addresses.first, (authors, to, cc))
    keys = [
        subject,
        _key(author.mailbox, prepare),
        _key(recipient.mailbox, prepare),
        _key(copied.mailbox, prepare),
        _display(author, prepare),
        _display(recipient, prepare),
    ]
    flags = REPLY * reply | WIDE * (not bytes(header).isascii())
    sent = sent_date(unfold(dates[0])) if dates else None
    head = _SORT.pack(flags, *map(len, keys), NO_DATE if sent is None else sent)
    return _padded(b"".join((head, *keys)))


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 8)


def _subject(value: bytes, prepare: Prepare) -> tuple[bytes, bool]:
    """Return the key of the base subject, and whether it is that of a reply or a forward."""
    text = decode_exactly(value)
    found = base_subject(text if isinstance(text, str) else text.decode("latin-1"))
    return _bounded(_collated(_like(text, found), prepare)), found.reply


def _like(text: str | bytes, found: Subject) -> str | bytes:
    return found.base if isinstance(text, str) else found.base.encode("latin-1")


def _key(value: bytes | None, prepare: Prepare) -> bytes:
    return _bounded(_collated(decode_exactly(value), prepare)) if value else b""


def _display(address: addresses.Address, prepare: Prepare) -> bytes:
    """RFC 5957 §3: the name, else the whole address, else what there is of it."""
    name = _key(address.name, prepare)
    if name or not (address.mailbox and address.host):
        return name or _key(address.mailbox, prepare)
    return _key(address.mailbox + b"@" + address.host, prepare)


def _collated(text: str | bytes, prepare: Prepare) -> bytes:
    """RFC 5255 §4.6: what is no text stands behind all texts, compared as octets."""
    if isinstance(text, bytes):
        return b"\xff" + text
    return prepare(text).encode("utf-8", "replace")


def _bounded(key: bytes) -> bytes:
    if len(key) <= LONGEST_KEY:
        return key
    return key[:LONGEST_KEY] + blake2b(key, digest_size=_DIGEST).digest()


# -- message identities ------------------------------------------------------------------------

_ID = re.compile(rb'<((?:[^<>"\\]|"(?:[^"\\]|\\.)*+")++)>', re.DOTALL)
_QUOTED_OR_BLANKS = re.compile(rb'"((?:[^"\\]|\\.)*+)"|[ \t\r\n]+', re.DOTALL)
_ESCAPED_OR_BLANKS = re.compile(rb"\\([^ \t\r\n])|\\?[ \t\r\n]+", re.DOTALL)


def thread_keys(header: Octets) -> bytes:
    """Return the thread keys of a message header (RFC 5256 §3, THREAD)."""
    own, references, parents = collect(header, _IDS)
    identity = _first(own)
    chain = _all(references) or [parent for parent in (_first(parents),) if parent]
    pieces = (_digest(identity) if identity else bytes(_DIGEST), *map(_digest, chain))
    return _THREAD.pack(len(chain)) + b"".join(pieces)


def _digest(identity: bytes) -> bytes:
    return blake2b(identity, digest_size=_DIGEST).digest()


def _first(values: list[bytes] | None) -> bytes:
    """Return the first valid identity of a field's first value, b"" where there is none."""
    return next(iter(message_ids(values[0], 1)), b"") if values else b""


def _all(values: list[bytes] | None) -> list[bytes]:
    return message_ids(values[0]) if values else []


def message_ids(value: bytes, most: int = 0) -> list[bytes]:
    """Return the valid identities (RFC 5322 §3.6.4, msg-id) of a value, without their brackets.

    The first ``most`` of them, or the last MOST_REFERENCES. Quoting is undone, so that two ways
    to write an identity are one (RFC 5256 §3, THREAD); case counts. Each octet is looked at a
    few times at most: quotes are undone while they still stand as they were matched.
    """
    found: deque[bytes] = deque(maxlen=MOST_REFERENCES)
    for match in _ID.finditer(value):
        identity = _QUOTED_OR_BLANKS.sub(_unquoted, match[1])
        local, _, domain = identity.rpartition(b"@")
        if local and domain:
            found.append(identity)
            if len(found) == most:
                break
    return list(found)


def _unquoted(match: re.Match[bytes]) -> bytes:
    """Blanks are what folding left, in quotes too."""
    return _ESCAPED_OR_BLANKS.sub(_character, match[1]) if match[1] else b""


def _character(match: re.Match[bytes]) -> bytes:
    return match[1] or b""
