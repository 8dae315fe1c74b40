"""Content transfer encodings undone piece by piece (RFC 2045 §6)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Protocol

from pymaild.mime.headers import NOT_BASE64, decode_base64


class Decoder(Protocol):
    """Undoes one body's encoding. It keeps back at most what one piece may leave unfinished."""

    def feed(self, piece: bytes, is_last: bool) -> bytes:
        """Return what ``piece`` adds to the decoded octets."""


class Identity:
    """7bit, 8bit and binary: the octets are what they are (RFC 2045 §2.9)."""

    def feed(self, piece: bytes, is_last: bool) -> bytes:
        """Return ``piece``."""
        return piece


class Base64:
    """RFC 2045 §6.8: other octets are passed over, and "=" behind digits ends the data."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = self._over = False

    def feed(self, piece: bytes, is_last: bool) -> bytes:
        """Return the octets of the digits that are complete."""
        if self._over:
            return b""
        if not self._begun:
            piece = piece.lstrip(_NO_DIGIT)
        body, padding, _ = piece.partition(b"=")
        digits = self._rest + body.translate(None, NOT_BASE64)
        self._begun = self._begun or bool(digits)
        self._over = bool(padding)
        cut = len(digits) if is_last or padding else len(digits) & ~3
        self._rest = digits[cut:]
        return decode_base64(digits[:cut])


class QuotedPrintable:
    """RFC 2045 §6.7. Keeps the last line back, or what may be a cut-off =XX of a long one."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes, is_last: bool) -> bytes:
        """Return the decoded octets of the lines that are complete."""
        text = self._rest + piece
        cut = len(text) if is_last else text.rfind(b"\n") + 1 or _before_escape(text)
        self._rest = text[cut:]
        return binascii.a2b_qp(_without_trailing_blanks(text[:cut]))


def _before_escape(text: bytes) -> int:
    """Where an =XX begins that is cut off, else the end."""
    found = text.rfind(b"=", -2)
    return found if found >= 0 else len(text)


def _without_trailing_blanks(text: bytes) -> bytes:
    """Blanks at a line's end were added on the way (RFC 2045 §6.7, rule 3)."""
    kept, at = [], 0
    for found in _TRAILING.finditer(text):
        end = found.start() + 1
        kept.append(text[at:end].rstrip(b" \t"))
        at = end
    return b"".join([*kept, text[at:]]) if kept else text


_TRAILING = re.compile(rb"[ \t]\r?\n")
_NO_DIGIT = NOT_BASE64
_DECODERS: dict[bytes, Callable[[], Decoder]] = {
    b"": Identity,  # RFC 2045 §6.1: none named means 7bit
    b"7bit": Identity,
    b"8bit": Identity,
    b"binary": Identity,
    b"base64": Base64,
    b"quoted-printable": QuotedPrintable,
}


def decoder(name: bytes) -> Decoder | None:
    """Return a fresh decoder for an encoding's lower-case name, None for an unknown one."""
    made = _DECODERS.get(name)
    return made() if made else None
