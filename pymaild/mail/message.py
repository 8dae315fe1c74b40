"""One message: its file, its parts, and what the cache holds of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pymaild.core.errors import Code, Refused, from_oserror
from pymaild.index import Index
from pymaild.mail import cache, objectid
from pymaild.mail.binary import Decoded, encoding
from pymaild.mime import bodystructure, envelope, headers, parts, text
from pymaild.mime._crlf import crlf_size, to_crlf

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

PIECE = 1 << 17  # octets of one converted piece

What = Literal["", "HEADER", "TEXT", "MIME"]


class Source:
    """A run of a message's octets, told in CRLF form. ``size``: its octets in that form.

    ``nul`` stands where a NUL is, which no literal may hold (RFC 9051 §9, CHAR8).
    """

    __slots__ = ("_data", "_end", "_fd", "_nul", "_start", "size")

    def __init__(
        self,
        data: memoryview,
        start: int,
        end: int,
        size: int,
        fd: int = -1,
        nul: bytes = b"\x80",
    ) -> None:
        self._data, self._start, self._end = data, start, end
        self.size = size
        self._fd = fd
        self._nul = nul

    def pieces(self, offset: int = 0, count: int | None = None) -> Iterator[bytes]:
        """Yield the octets from ``offset``, at most ``count`` of them, in bounded pieces."""
        left = self.size - offset if count is None else min(count, self.size - offset)
        if self.size == self._end - self._start:
            yield from self._plain(self._start + offset, left)
            return
        for piece in self._converted():
            if offset >= len(piece):
                offset -= len(piece)
                continue
            piece = piece[offset : offset + left] if offset or left < len(piece) else piece
            offset, left = 0, left - len(piece)
            if piece:
                yield piece
            if left <= 0:
                return

    def _plain(self, start: int, left: int) -> Iterator[bytes]:
        while left > 0:
            piece = bytes(self._data[start : start + min(left, PIECE)])
            start, left = start + len(piece), left - len(piece)
            yield piece.replace(b"\0", self._nul)

    def _converted(self) -> Iterator[bytes]:
        start = self._start
        while start < self._end:
            stop = min(start + PIECE, self._end)
            if stop < self._end and self._data[stop - 1] == 13:
                stop += 1  # a CRLF stays in one piece
            yield to_crlf(bytes(self._data[start:stop])).replace(b"\0", self._nul)
            start = stop

    def file(self) -> tuple[int, int, int] | None:
        """Return (descriptor, offset, octets) where the file holds the wire form already."""
        if self._fd < 0 or self.size != self._end - self._start or self.size < PIECE:
            return None
        if any(b"\0" in bytes(self._data[at : at + PIECE]) for at in self._range()):
            return None
        return self._fd, self._start, self.size

    def _range(self) -> range:
        return range(self._start, self._end, PIECE)


class Message:
    """A message by its index row. Its file is opened when the cache does not have the answer."""

    def __init__(self, mailbox: Mailbox, index: Index, row: int) -> None:
        self._mailbox, self._index, self._row = mailbox, index, row
        self._data: memoryview | None = None
        self._fd = -1
        self._entry: cache.Entry | None = None
        self._tree: parts.Part | None = None
        self._left: bool | None = None

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    @property
    def uid(self) -> int:
        """The message's UID."""
        return self._index.fields(self._row)[0]

    @property
    def size(self) -> int:
        """Octets in CRLF form (RFC822.SIZE)."""
        known = self._index.wire_size(self._row)
        if not known:
            known = crlf_size(self.data())
            self._index.set_wire_size(self._row, known)
        return known

    def name(self) -> str:
        """Return the name by which other servers know the message."""
        return self._mailbox.mail.known_as(self._index, self._row)

    def data(self) -> memoryview:
        """Return the file as stored. Raises Refused: EXPUNGEISSUED when it is gone."""
        if self._data is None:
            try:
                self._data = self._read()
            except OSError as error:
                raise from_oserror(error) from error
        return self._data

    def _read(self) -> memoryview:
        octets = self._mailbox.mail.read(self._index, self._row)
        if octets is None:
            raise Refused(Code.EXPUNGEISSUED, "Some of the messages have been expunged")
        data, self._fd = octets
        return data

    def missing(self) -> bool:
        """Say whether the file is gone."""
        try:
            self.data()
        except Refused:
            return True
        return False

    def damaged(self) -> bool:
        """Say whether there is a cache entry that does not check."""
        octets = self._index.cached(self._row)
        return octets is not None and cache.decode(octets) is None

    # -- structure and cache -------------------------------------------------------------------

    def structure(self) -> parts.Part:
        """Return the tree of parts; offsets are those of the file as stored."""
        if self._tree is None:
            left = self._is_left()
            self._tree = self._scanned() if left else parts.unpack(self.entry().parts)
        return self._tree

    def _is_left(self) -> bool:
        """Say whether there is no cache entry, and making one is left to others."""
        if self._left is None:
            known = self._entry is not None or self._is_cached()
            self._left = not known and self._mailbox.helpers.leave()
        return self._left

    def _scanned(self) -> parts.Part:
        tree = parts.scan(self.data())
        self._index.set_wire_size(self._row, tree.header_crlf + tree.body_crlf)
        return tree

    def _head(self) -> bytes:
        tree = self.structure()
        return bytes(self.data()[tree.header_start : tree.header_end])

    def entry(self) -> cache.Entry:
        """Return the cache entry, made from the file when there is none."""
        if self._entry is None and not self._is_cached():
            self._entry = self._build()
        assert self._entry is not None
        return self._entry

    def _build(self) -> cache.Entry:
        self._tree = tree = self._scanned()
        entry = cache.build(self.data(), tree)
        octets = cache.encode(entry)
        if len(octets) <= cache.LARGEST:
            self._index.set_cached(self._row, octets, tree.header_crlf + tree.body_crlf)
        return entry

    @property
    def envelope(self) -> bytes:
        """ENVELOPE in wire form (RFC 9051 §7.5.2)."""
        return envelope.envelope(self._head()) if self._is_left() else self.entry().envelope

    @property
    def bodystructure(self) -> bytes:
        """BODYSTRUCTURE in wire form."""
        if self._is_left():
            return bodystructure.bodystructure(self.data(), self.structure(), True)
        return self.entry().structure

    @property
    def body(self) -> bytes:
        """BODY in wire form: BODYSTRUCTURE without extension data."""
        if self._is_left():
            return bodystructure.bodystructure(self.data(), self.structure(), False)
        return self.entry().body

    def preview(self, lazy: bool) -> bytes | None:
        """PREVIEW in wire form (RFC 8970 §3.2); ``lazy``: None where it must be made first."""
        if lazy and self._entry is None and not self._is_cached():
            return None
        return self.entry().preview

    def _is_cached(self) -> bool:
        octets = self._index.cached(self._row)
        self._entry = cache.decode(octets) if octets is not None else None
        return self._entry is not None

    @property
    def emailid(self) -> bytes:
        """EMAILID: the same for all messages of the same content (RFC 8474 §5.1)."""
        return self.entry().digest[: objectid.LENGTH]

    @property
    def threadid(self) -> bytes:
        """THREADID: the same for all messages of a thread (RFC 8474 §5.2)."""
        return self.entry().digest[objectid.LENGTH :]

    def header(self) -> bytes:
        """Return the header with its empty line, in CRLF form."""
        return to_crlf(self._head())

    def wide(self) -> bool:
        """Say whether a header of the message or in it has octets beyond ASCII (RFC 6532)."""
        tree = self.structure()
        if self._is_left():
            text.classify(self.data(), tree)
        return bool(tree.kind & text.WIDE)

    def header_fields(self, names: frozenset[bytes], negate: bool) -> bytes:
        """Return the header lines of these upper-case names, or of all others; CRLF form."""
        if not negate and names <= cache.FIELDS and not self._is_left():
            return headers.select(self.entry().fields, names, False)
        return headers.select(self.header(), names, negate)

    # -- sections ------------------------------------------------------------------------------

    def section(self, path: tuple[int, ...], what: What) -> Source | None:
        """Return the octets of BODY[path.what]; None where there is no such part.

        RFC 9051 §6.4.5.1: a part of message/rfc822 counts as the message it holds, and part 1
        of a message that is not multipart is its body.
        """
        if not path and not what:
            data = self.data()
            return Source(data, 0, len(data), self.size, self._fd)
        part = parts.find(self.structure(), path)
        return self._source(part, path, what) if part is not None else None

    def _source(self, part: parts.Part, path: tuple[int, ...], what: What) -> Source | None:
        data = self.data()
        if path and what in ("HEADER", "TEXT"):
            if not part.is_message or not part.children:
                return None
            part = part.children[0]
        if what in ("HEADER", "MIME"):
            return Source(data, part.header_start, part.header_end, part.header_crlf, self._fd)
        return Source(data, part.body_start, part.body_end, part.body_crlf, self._fd)

    def decoded(self, path: tuple[int, ...]) -> Decoded | None:
        """Return the octets of BINARY[path]; None where there is no such part (RFC 3516 §4.3).

        Raises Refused (UNKNOWN-CTE). A message as a whole, and what has parts of its own, is
        not encoded.
        """
        part = parts.find(self.structure(), path) if path else self.structure()
        if part is None:
            return None
        data = self.data()
        if not path:
            return Decoded(Source(data, 0, len(data), self.size, nul=b"\0"), b"", False)
        source = Source(data, part.body_start, part.body_end, part.body_crlf, nul=b"\0")
        return Decoded(source, *encoding(data, part))

    def part_header_fields(
        self, path: tuple[int, ...], names: frozenset[bytes], negate: bool
    ) -> bytes | None:
        """Return header lines of the message in part ``path``; None where there is none."""
        if not path:
            return self.header_fields(names, negate)
        source = self.section(path, "HEADER")
        if source is None:
            return None
        return headers.select(b"".join(source.pieces()), names, negate)

    # -- text for SEARCH -----------------------------------------------------------------------

    def key(self, name: bytes) -> str:
        """Return the folded text of one of cache.KEYS."""
        if self._is_left():
            return cache.key(self._head(), name).decode("utf-8", "replace")
        return self.entry().keys.split(b"\0")[cache.KEYS.index(name)].decode("utf-8", "replace")

    def search_text(self, header: bool) -> Iterator[str]:
        """Yield decoded text of the body, before it that of the header, in pieces that overlap."""
        if header:
            yield from text.header_texts(self.header(), None)
        yield from text.body_texts(self.data(), self.structure())
