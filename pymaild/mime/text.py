"""Text of messages for searching: encodings and charsets undone, in bounded pieces.

RFC 9051 §6.4.4: strings match without regard to case, in decoded headers and text bodies.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from functools import cache

from pymaild.mime._fields import collect, split
from pymaild.mime._parameters import parameters
from pymaild.mime.collation import unicode_casemap as fold
from pymaild.mime.content import ContentType, content_type, joined
from pymaild.mime.encodings import Identity, decoder
from pymaild.mime.headers import (
    codec,
    decode,
    decode_parameters,
    guess,
)
from pymaild.mime.octets import Octets
from pymaild.mime.parts import Part

PIECE = 65536  # octets of a body that are decoded at a time
OVERLAP = 1024  # characters of a piece that the next one repeats

__all__ = [
    "OVERLAP",
    "PIECE",
    "WIDE",
    "body_texts",
    "classify",
    "fold",
    "header_texts",
    "leaf_texts",
    "value_texts",
]


def header_texts(header: Octets, name: bytes | None) -> Iterator[str]:
    """Yield the decoded values of the fields `name`, or of all fields as `Name: value`.

    Extended parameters (RFC 2231) are yielded decoded as well.
    """
    if name is None:
        for key, value in split(header):
            yield from field_texts(key, value)
    else:
        yield from value_texts(collect(header, {name.upper(): 0})[0])


def value_texts(values: list[bytes] | None) -> Iterator[str]:
    """Yield the texts of fields of one name, without it."""
    for value in values or ():
        yield decode(value)
        yield from _extended_values(value)


def field_texts(name: bytes, value: bytes) -> Iterator[str]:
    """Yield the texts of one field, its name in front of the first."""
    yield f"{guess(name)}: {decode(value)}"
    yield from _extended_values(value)


def _extended_values(value: bytes) -> Iterator[str]:
    """The values of `name*=...` parameters, whose octets `decode` leaves as they are."""
    if b"*" in value and b"=" in value:
        for key, text in joined(parameters(value)[1]):
            if key.endswith(b"*"):
                yield decode_parameters([(key, text)])[0][1]


def body_texts(data: Octets, part: Part, overlap: int = OVERLAP) -> Iterator[str]:
    """Yield the text inside `part`: text bodies, and the headers of all parts below it.

    `data` is what `part` was scanned from. A body comes in pieces of about :data:`PIECE`
    octets; each begins with the last `overlap` characters of the one before, so that a match of
    up to that length is found where the pieces meet. Attachments that are no text are skipped.
    """
    waiting = [part]
    while waiting:
        current = waiting.pop()
        if current is not part:
            yield from header_texts(data[current.header_start : current.header_end], None)
        waiting.extend(reversed(current.children))
        if not current.children:
            yield from leaf_texts(data, current, overlap)


# What a part's ``kind`` says of its body, in bits. Without TEXT it is not searched.
TEXT, BASE64, QUOTED = 1, 2, 4
OTHER = 8  # octets beyond ASCII are of another charset than UTF-8 or windows-1252
ALIEN = 16  # octets of ASCII need not be characters of ASCII
LATIN = 64  # octets beyond ASCII are windows-1252
WIDE = 32  # of the root: a header of the message or in it has octets beyond ASCII

_ENCODED = {b"base64": BASE64, b"quoted-printable": QUOTED}
#: All of ASCII, and what shifts to other sets of characters in charsets that have a state.
_PLAIN = bytes(range(128)) + b"\x1b$B!!\x1b(B\x1b$)C\x0e!!\x0f~{!!~}+AOk-"


def classify(data: Octets, root: Part) -> None:
    """Set ``kind`` of all parts of a message, for searches that look at its octets."""
    waiting, wide = [root], 0
    while waiting:
        part = waiting.pop()
        waiting += part.children
        part.kind = 0 if part.children else _kind(data, part)
        if not bytes(data[part.header_start : part.header_end]).isascii():
            wide = WIDE
    root.kind |= wide


def _kind(data: Octets, part: Part) -> int:
    content, encoding = _leaf(data, part)
    if content.main.lower() not in _TEXT_TYPES:
        return 0
    return TEXT | _ENCODED.get(encoding, 0) | _charset_kind(_charset(content))


@cache
def _charset_kind(name: str) -> int:
    if name in _GUESSED:
        return 0
    if name == "cp1252":
        return LATIN
    try:
        return OTHER if _PLAIN.decode(name) == _PLAIN.decode("ascii") else ALIEN
    except UnicodeDecodeError:
        return ALIEN


def leaf_texts(data: Octets, part: Part, overlap: int = 0, most: int = 0) -> Iterator[str]:
    """Yield the text of a part without children, as :func:`body_texts` does.

    ``most``: octets of its body to look at, 0 for all. A part that is no text yields nothing.
    """
    content, encoding = _leaf(data, part)
    if content.main.lower() not in _TEXT_TYPES:
        return
    undo = decoder(encoding) or Identity()
    to_text = _charset_decoder(content)
    tail = ""
    stop = min(part.body_start + most, part.body_end) if most else part.body_end
    for start in range(part.body_start, stop, PIECE):
        end = min(start + PIECE, stop)
        is_last = end == part.body_end
        text = tail + to_text(undo.feed(bytes(data[start:end]), is_last), is_last)
        if len(text) > len(tail):
            yield text
        tail = text[-overlap:] if overlap else ""


def _leaf(data: Octets, part: Part) -> tuple[ContentType, bytes]:
    """What a part's header says of its body: the type, and the encoding in lower case."""
    types, encodings = collect(data, _LEAF_FIELDS, part.header_start, part.header_end)
    encoding = parameters(encodings[0])[0].lower() if encodings else b""
    return content_type(types), encoding


_LEAF_FIELDS = {b"CONTENT-TYPE": 0, b"CONTENT-TRANSFER-ENCODING": 1}

#: A multipart or message that was not divided is searched as text.
_TEXT_TYPES = frozenset({b"text", b"multipart", b"message"})


class _Guess:
    """Decodes UTF-8 up to the first octets that are none, and from there on windows-1252."""

    def __init__(self) -> None:
        self._utf8: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()

    def __call__(self, piece: bytes, is_last: bool) -> str:
        if self._utf8 is not None:
            before = self._utf8.getstate()[0]
            try:
                return self._utf8.decode(piece, is_last)
            except UnicodeDecodeError:
                self._utf8 = None
                piece = before + piece
        return piece.decode("cp1252", "replace")


def _utf7(piece: bytes, is_last: bool) -> str:
    """Without state between pieces: a run that never ends would be decoded again and again."""
    return piece.decode("utf-7", "replace")


class _Wide:
    """UTF-16 or UTF-32 by its byte order mark, big-endian without one (RFC 2781 §4.3)."""

    _MARKS = {"utf_16": codecs.BOM_UTF16_LE, "utf_32": codecs.BOM_UTF32_LE}

    def __init__(self, name: str) -> None:
        self._name = name
        self._decoder: codecs.IncrementalDecoder | None = None

    def __call__(self, piece: bytes, is_last: bool) -> str:
        if self._decoder is None:
            order = "_le" if piece.startswith(self._MARKS[self._name]) else "_be"
            self._decoder = codecs.getincrementaldecoder(self._name + order)("replace")
        return self._decoder.decode(piece, is_last).removeprefix("\ufeff")


def _plain_decoder(name: str) -> Callable[[bytes, bool], str]:
    return codecs.getincrementaldecoder(name)("replace").decode


_DECODERS: dict[str, Callable[[str], Callable[[bytes, bool], str]]] = {
    "ascii": lambda _: _Guess(),
    "utf_8": lambda _: _Guess(),
    "utf_7": lambda _: _utf7,
    "utf_16": _Wide,
    "utf_32": _Wide,
}


_GUESSED = ("ascii", "utf_8")


def _charset(content: ContentType) -> str:
    """The codec of a text, "ascii" where none is named that is known."""
    names = [value for key, value in content.parameters if key.lower() == b"charset"]
    return (codec(guess(names[0])) if names else None) or "ascii"


def _charset_decoder(content: ContentType) -> Callable[[bytes, bool], str]:
    name = _charset(content)
    return _DECODERS.get(name, _plain_decoder)(name)
