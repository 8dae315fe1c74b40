"""Modified UTF-7: how mailbox names travel in IMAP4rev1 (RFC 3501 §5.1.3).

Printable US-ASCII stands for itself, `&` for `&-`. Everything else is UTF-16 (big-endian) in
base64 with `,` for `/`, without padding, between `&` and `-`.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64

_SHIFTED = re.compile(r"[^ -~]+|&")
_NOT_PRINTABLE = re.compile(r"[^ -~]")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+,]")


def encode(name: str) -> bytes:
    """Return `name` in modified UTF-7. Raises ValueError for a lone surrogate."""
    return _SHIFTED.sub(_shift, name).encode("ascii")


def _shift(match: re.Match[str]) -> str:
    text = match.group()
    if text == "&":
        return "&-"
    base64 = b2a_base64(text.encode("utf-16-be"), newline=False).decode("ascii")
    return "&" + base64.rstrip("=").replace("/", ",") + "-"


def decode(data: bytes, strict: bool = True) -> str:
    """Return the name that `data` stands for. Raises ValueError where it is malformed.

    `strict` also refuses what is readable but not the one canonical form: printable characters
    in base64, two shifts where one would do, padding bits that are not zero.
    """
    first, *rest = data.decode("ascii").split("&")
    name = _printable(first) + "".join(map(_unshift, rest))
    if strict and encode(name) != data:
        raise ValueError("modified UTF-7 is not in its canonical form")
    return name


def _printable(text: str) -> str:
    if _NOT_PRINTABLE.search(text):
        raise ValueError("control character in modified UTF-7")
    return text


def _unshift(piece: str) -> str:
    """Decode what follows one `&`: base64 up to `-`, then plain text."""
    base64, dash, plain = piece.partition("-")
    if not dash or _NOT_BASE64.search(base64) or len(base64) % 4 == 1:
        raise ValueError("malformed base64 in modified UTF-7")
    padded = base64.replace(",", "/") + "=" * (-len(base64) % 4)
    shifted = a2b_base64(padded).decode("utf-16-be") if base64 else "&"
    return shifted + _printable(plain)
