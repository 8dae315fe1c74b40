"""Parts with their transfer encoding undone (RFC 3516, RFC 9051 §6.4.5)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from pymaild.core.errors import Code, Refused
from pymaild.mime._crlf import to_crlf
from pymaild.mime._fields import collect
from pymaild.mime._parameters import parameters
from pymaild.mime.content import content_type
from pymaild.mime.encodings import Identity, decoder

if TYPE_CHECKING:
    from pymaild.mail.message import Source
    from pymaild.mime.octets import Octets
    from pymaild.mime.parts import Part

_FIELDS = {b"CONTENT-TYPE": 0, b"CONTENT-TRANSFER-ENCODING": 1}


def encoding(data: Octets, part: Part) -> tuple[bytes, bool]:
    """Return a part's transfer encoding in lower case, and whether it is text.

    What has parts of its own is not encoded, whatever it says (RFC 2045 §6.4).
    """
    types, encodings = collect(data, _FIELDS, part.header_start, part.header_end)
    is_text = content_type(types).main.lower() == b"text"
    if part.children or not encodings:
        return b"", is_text and not part.children
    return parameters(encodings[0])[0].lower(), is_text


class Decoded:
    """A run of octets whose encoding is undone while they are read, in bounded memory.

    The lines of text end in CRLF, whatever its sender wrote (RFC 9051 §7.5.2, BINARY).
    """

    def __init__(self, source: Source, encoding: bytes, is_text: bool) -> None:
        if decoder(encoding) is None:
            raise Refused(Code.UNKNOWN_CTE, "The encoding of this part is unknown")
        self._source = source
        self._encoding = encoding
        self._is_text = is_text

    @property
    def size(self) -> int:
        """Octets of the whole (BINARY.SIZE); what is encoded is read for that."""
        if isinstance(decoder(self._encoding), Identity):
            return self._source.size
        return sum(map(len, self._decoded()))

    def file(self) -> None:
        """No file holds these octets as they are sent."""

    def pieces(self, offset: int = 0, count: int | None = None) -> Iterator[bytes]:
        """Yield the octets from ``offset``, at most ``count`` of them, in bounded pieces."""
        left = count
        for piece in self._decoded():
            if offset >= len(piece):
                offset -= len(piece)
                continue
            piece = piece[offset : None if left is None else offset + left]
            offset = 0
            yield piece
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    return

    def _decoded(self) -> Iterator[bytes]:
        undo = decoder(self._encoding) or Identity()
        previous = 0
        for piece, is_last in _marked(self._source.pieces()):
            octets = undo.feed(piece, is_last)
            if octets and self._is_text:
                octets, previous = to_crlf(octets, previous), octets[-1]
            if octets:
                yield octets


def _marked(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Say of each piece whether it is the last."""
    for held in islice(pieces, 1):
        for piece in pieces:
            yield held, False
            held = piece
        yield held, True
