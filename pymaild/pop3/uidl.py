"""The names that UIDL gives to messages (RFC 1939 §7).

A format is written in the little language of Dovecot's ``pop3_uidl_format``, which can say what
other servers have said before: a migration that keeps UIDs keeps these names too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

_LONGEST = 70  # RFC 1939 §7: one to 70 characters ...
_ALLOWED = re.compile(r"[\x21-\x7e]{1,70}")  # ... from 0x21 to 0x7E
_ITEM = re.compile(r"%(?:0(?P<width>[1-9][0-9]?))?(?P<how>[XLUM]*)(?P<what>[a-zA-Z%])|%")
_OUR_UID = re.compile(r",U=[0-9]+")

_MODIFIERS: dict[str, Callable[[str], str]] = {
    "X": lambda value: format(int(value), "x"),
    "L": str.lower,
    "U": str.upper,
    "M": lambda value: hashlib.md5(value.encode(), usedforsecurity=False).hexdigest(),
}

#: What an item stands for, from UID, UIDVALIDITY and file name. The name is taken as it was
#: before this server wrote the UID into it.
_VALUES: dict[str, Callable[[int, int, str], str]] = {
    "u": lambda uid, validity, name: str(uid),
    "v": lambda uid, validity, name: str(validity),
    "f": lambda uid, validity, name: _OUR_UID.sub("", name),
    "%": lambda uid, validity, name: "%",
}

Piece = Callable[[int, int, str], str]


class UidlFormat:
    """A format ready for use. Raises ValueError for one that cannot name messages apart."""

    def __init__(self, text: str) -> None:
        self.uses_name = False
        self._pieces: list[Piece] = []
        self._distinct = False
        position = 0
        for match in _ITEM.finditer(text):
            self._literal(text[position : match.start()])
            self._item(match)
            position = match.end()
        self._literal(text[position:])
        if not self._distinct:
            raise ValueError("needs %u or %f, or messages cannot be told apart")

    def __call__(self, uid: int, uidvalidity: int, name: str = "") -> str:
        """Return the unique-id. One that the protocol cannot carry is replaced by its digest."""
        value = "".join([piece(uid, uidvalidity, name) for piece in self._pieces])
        if _ALLOWED.fullmatch(value):
            return value
        return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:_LONGEST]

    def _literal(self, text: str) -> None:
        if text and not _ALLOWED.fullmatch(text):
            raise ValueError("only printable ASCII without spaces can stand in a unique-id")
        if text:
            self._pieces.append(lambda uid, validity, name: text)

    def _item(self, match: re.Match[str]) -> None:
        what, how, width = match["what"], match["how"] or "", int(match["width"] or 0)
        if what not in _VALUES:
            raise ValueError(f"{match[0]!r} is unknown; there are %u, %v, %f and %%")
        if "X" in how and (what not in "uv" or not how.startswith("X")):
            raise ValueError(f"{match[0]!r} asks for the hexadecimal form of no number")
        self._distinct |= what in "uf"
        self.uses_name |= what == "f"
        self._pieces.append(_piece(what, how, width))


def _piece(what: str, how: str, width: int) -> Piece:
    value, changes = _VALUES[what], [_MODIFIERS[letter] for letter in how]

    def piece(uid: int, validity: int, name: str) -> str:
        text = value(uid, validity, name)
        for change in changes:
            text = change(text)
        return text.rjust(width, "0")

    return piece
