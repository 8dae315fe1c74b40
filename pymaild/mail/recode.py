"""Binary parts of an appended message in a form that can be stored and told (RFC 3516 §4.4).

Files hold lines, and a literal holds no NUL. So a part that has a NUL, or that is declared as
binary and has a line end of its own kind, becomes base64; all the rest stays as it came.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterator
from typing import NamedTuple

from pymaild.core.errors import Code, Refused
from pymaild.mail.binary import encoding
from pymaild.mime._crlf import is_wire
from pymaild.mime.encodings import Identity, decoder
from pymaild.mime.octets import Octets
from pymaild.mime.parts import Part, scan

_PIECE = 57 * 1024  # octets that make whole lines of base64


class _Change(NamedTuple):
    """Octets ``start`` to ``end`` of the message are replaced by ``text`` or by their base64."""

    start: int
    end: int
    text: bytes | None


def storable(data: Octets) -> Iterator[bytes]:
    """Yield a message with its binary parts in base64, in pieces; as it came if it has none.

    Raises Refused (UNKNOWN-CTE) at once where a NUL stands outside of what can be encoded.
    """
    root = scan(data)
    changes = sorted(_changes(data, root))
    if changes:
        changes = sorted([*changes, *_labels(data, root)])
    at = 0
    for change in changes:
        _refuse_nul(data, at, change.start)
        at = change.end
    _refuse_nul(data, at, len(data))
    return _written(data, changes)


def _changes(data: Octets, root: Part) -> Iterator[_Change]:
    """What has to be done to the bodies that must be encoded, and to their headers."""
    for part in _below(root):
        if not part.children and _must_be_encoded(data, part):
            yield _label(data, part, b"base64")
            yield _Change(part.body_start, part.body_end, None)


def _labels(data: Octets, root: Part) -> Iterator[_Change]:
    """Of what holds other parts, "binary" is no longer true."""
    for part in _below(root):
        if part.children and _declared(data, part) == b"binary":
            yield _label(data, part, b"8bit")


def _below(root: Part) -> Iterator[Part]:
    waiting = [root]
    while waiting:
        part = waiting.pop()
        yield part
        waiting.extend(part.children)


def _declared(data: Octets, part: Part) -> bytes:
    """The encoding that a part's header names, whatever the part is."""
    found = _FIELD_LINES.search(bytes(data[part.header_start : part.header_end]))
    return found[1].strip().lower() if found else b""


def _must_be_encoded(data: Octets, part: Part) -> bool:
    name = encoding(data, part)[0]
    if not isinstance(decoder(name), Identity):
        return False
    if name == b"binary":
        return not _is_wire(data, part.body_start, part.body_end)
    return _has_nul(data, part.body_start, part.body_end)


def _is_wire(data: Octets, start: int, end: int) -> bool:
    """Whether there is no NUL, and every LF and CR stands in a CRLF."""
    previous = b""
    for at in range(start, end, _PIECE):
        piece = previous + bytes(data[at : min(at + _PIECE, end)])
        previous = piece[-1:] if piece.endswith(b"\r") else b""
        piece = piece[: len(piece) - len(previous)]
        if not is_wire(piece) or piece.count(b"\r") != piece.count(b"\n"):
            return False
    return not previous


def _has_nul(data: Octets, start: int, end: int) -> bool:
    return any(b"\0" in bytes(data[at : min(at + _PIECE, end)]) for at in range(start, end, _PIECE))


def _refuse_nul(data: Octets, start: int, end: int) -> None:
    if _has_nul(data, start, end):
        raise Refused(Code.UNKNOWN_CTE, "A NUL stands where it cannot be encoded")


def _label(data: Octets, part: Part, name: bytes) -> _Change:
    """Change the part's field, or put one at the beginning of its header."""
    found = _FIELD_LINES.search(bytes(data[part.header_start : part.header_end]))
    start, end = found.span() if found else (0, 0)
    at = part.header_start
    return _Change(at + start, at + end, b"Content-Transfer-Encoding: %b\r\n" % name)


#: The field with its folded lines (RFC 5322 §2.2.3).
_FIELD_LINES = re.compile(
    rb"^content-transfer-encoding[ \t]*:([^\n]*\n?(?:[ \t][^\n]*\n?)*)",
    re.IGNORECASE | re.MULTILINE,
)


def _written(data: Octets, changes: list[_Change]) -> Iterator[bytes]:
    at = 0
    for start, end, text in changes:
        yield from _pieces(data, at, start)
        if text is not None:
            yield text
        else:
            yield from _base64(data, start, end)
        at = end
    yield from _pieces(data, at, len(data))


def _pieces(data: Octets, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _PIECE):
        yield bytes(data[at : min(at + _PIECE, end)])


def _base64(data: Octets, start: int, end: int) -> Iterator[bytes]:
    """Lines of 76 characters; the line end behind the last one is the delimiter's."""
    lines = 0
    for piece in _pieces(data, start, end):
        text = [b2a_base64(piece[at : at + 57], newline=False) for at in range(0, len(piece), 57)]
        yield (b"\r\n" if lines else b"") + b"\r\n".join(text)
        lines += len(text)
