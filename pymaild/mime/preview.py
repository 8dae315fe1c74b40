"""A few words that show what a message is about (RFC 8970 §3.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from pymaild.mime._fields import collect
from pymaild.mime._parameters import parameters
from pymaild.mime.content import content_type
from pymaild.mime.markup import plain_text
from pymaild.mime.octets import Octets
from pymaild.mime.parts import Part
from pymaild.mime.text import leaf_texts

LENGTH: Final = 200  # characters of a preview

_MOST_PARTS = 20  # that are looked at
_MOST_OCTETS = 32768  # of a part's body that are decoded
_ENOUGH = 3 * LENGTH  # characters of a text behind which no more lines are looked at
_MOST_LETTERS = 2000  # that are looked at for a preview
_FIELDS = {b"CONTENT-TYPE": 0, b"CONTENT-DISPOSITION": 1}


def preview(data: Octets, root: Part) -> str:
    """Return at most :data:`LENGTH` characters of plain text, "" where there is none to show.

    The first text that is no attachment counts; of alternatives the plain one. Markup, quoted
    text and signatures are left out; quoted text is shown where nothing else is. ``data`` is
    what ``root`` was scanned from. Work is bounded whatever the message is.
    """
    spare = ""
    for part, to_plain in _texts(data, root):
        own, quoted = divided(to_plain("".join(leaf_texts(data, part, most=_MOST_OCTETS))))
        if found := shortened(own):
            return found
        spare = spare or shortened(quoted)
    return spare


def _texts(data: Octets, root: Part) -> Iterator[tuple[Part, Callable[[str], str]]]:
    """The text parts in the order in which they are tried, each with what makes it plain."""
    waiting = [root]
    for _ in range(_MOST_PARTS):
        if not waiting:
            return
        part = waiting.pop()
        kind = _kind(data, part)
        if part.children:
            children = list(part.children[:_MOST_PARTS])
            if kind == b"multipart/alternative":
                children.sort(key=lambda child: _kind(data, child) != b"text/plain")
            waiting.extend(reversed(children))
        elif kind in _TO_PLAIN:
            yield part, _TO_PLAIN[kind]


def _kind(data: Octets, part: Part) -> bytes:
    """The part's type in lower case; b"" for an attachment."""
    types, dispositions = collect(data, _FIELDS, part.header_start, part.header_end)
    if dispositions and parameters(dispositions[0])[0].lower() == b"attachment":
        return b"" if not part.children else b"attachment"
    return content_type(types).full


_TO_PLAIN: dict[bytes, Callable[[str], str]] = {
    b"text/plain": lambda text: text,
    b"text/html": plain_text,
    b"text/enriched": plain_text,  # RFC 1896 writes its tags the same way
}


# What a text says itself, and what it quotes


def divided(text: str) -> tuple[str, str]:
    """Divide a plain text into what it says itself and what it quotes, signatures left out."""
    own: list[str] = []
    quoted: list[str] = []
    size = left = 0
    for line in text.splitlines():
        stripped = line.strip()
        if line == "-- " or stripped in _ENDS or size > _ENOUGH:
            break
        if stripped.startswith(">"):
            _drop_attribution(own)
            if left < _MOST_LETTERS:
                quoted.append(stripped.lstrip("> "))
                left += len(quoted[-1]) + 1
        elif stripped[:1] not in _NO_WORDS or not _is_furniture(stripped):
            own.append(stripped)
            size += len(stripped)
    return "\n".join(own), "\n".join(quoted)


#: Lines behind which nothing more is the sender's own text, or readable.
_ENDS = frozenset(
    (
        "-----BEGIN PGP MESSAGE-----",
        "-----BEGIN PGP SIGNATURE-----",
        "-----Original Message-----",
        "-----Ursprüngliche Nachricht-----",
    )
)
_ARMOUR = frozenset(
    ("-----BEGIN PGP SIGNED MESSAGE-----", "Hash: SHA1", "Hash: SHA256", "Hash: SHA512")
)
_RULE = re.compile(r"[-_=*~#.+|]{3,}")
_NO_WORDS = frozenset("-_=*~#.+|H")  # what the lines that say nothing begin with


def _is_furniture(line: str) -> bool:
    return line in _ARMOUR or _RULE.fullmatch(line) is not None


def _drop_attribution(own: list[str]) -> None:
    """Drop the "Ann wrote:" that stands before a quotation, in whatever language it is.

    A line that begins with a small letter or an address goes on from the one above it.
    """
    while own and not own[-1]:
        own.pop()
    if own and own[-1].endswith(":"):
        line = own.pop()
        if own and (line[0].islower() or line[0] == "<"):
            own.pop()


# One short line of text


def shortened(text: str) -> str:
    """Return the words of a text with single spaces, cut to :data:`LENGTH` characters."""
    words = [word.strip(_JOINERS) for word in _INVISIBLE.sub("", text[:_MOST_LETTERS]).split()]
    return " ".join(filter(None, words))[:LENGTH].rstrip()


#: Joiners mean something between letters; senders also use them to fill a line with nothing.
_JOINERS = "\u200c\u200d\u034f"

#: Controls, soft hyphens, marks that turn the direction of text, and what takes no room.
_INVISIBLE = re.compile(
    "[\\x00-\\x08\\x0e-\\x1b\\x7f-\\x84\\x86-\\x9f\\xad\\u061c\\u180e\\u200b\\u200e\\u200f"
    "\\u202a-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]+"
)
