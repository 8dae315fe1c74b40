"""Comparators: the form of a text in which equality, order and substring are those of its octets.

RFC 4790 §9 (i;octet, i;ascii-casemap), RFC 5051 (i;unicode-casemap), RFC 5255 §4.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from unicodedata import normalize

#: Returns the comparison form of a text. A substring's form is a substring of the text's form.
Prepare = Callable[[str], str]

_MOST_FOLDS = 20_000


class _Folds(dict[int, str]):
    """The comparison form of single characters, made when first met; kept within bounds."""

    def __missing__(self, code: int) -> str:
        if len(self) >= _MOST_FOLDS:
            self.clear()
        folded = normalize("NFKD", _title(chr(code)))
        self[code] = folded
        return folded


def _title(character: str) -> str:
    """RFC 5051 §2 (2)(a): the titlecase property, which is one character or none."""
    titled = character.title()
    return titled if len(titled) == 1 else character


_FOLDS = _Folds()


def unicode_casemap(text: str) -> str:
    """i;unicode-casemap (RFC 5051 §2): characters in titlecase, each decomposed by itself.

    Nothing is reordered, which §4 (2) leaves open, so time is linear in the text.
    """
    return text.upper() if text.isascii() else text.translate(_FOLDS)


_ASCII_UPPER = {lower: lower - 32 for lower in range(97, 123)}


def ascii_casemap(text: str) -> str:
    """i;ascii-casemap (RFC 4790 §9.2): the letters a to z in upper case."""
    return text.upper() if text.isascii() else text.translate(_ASCII_UPPER)


def octet(text: str) -> str:
    """i;octet (RFC 4790 §9.3): the text as it is."""
    return text


DEFAULT = "i;unicode-casemap"  # RFC 5255 §4.4

#: The comparators a client can choose (RFC 5255 §4.7); widely useful ones first (RFC 4790 §3.2).
COMPARATORS: dict[str, Prepare] = {
    DEFAULT: unicode_casemap,
    "i;ascii-casemap": ascii_casemap,
    "i;octet": octet,
}


@dataclass(frozen=True, slots=True)
class Comparator:
    """A comparator as a session uses it (RFC 4790 §3.3, collation-selected).

    ``reverse`` turns its order around; what is equal and what contains what stay as they are.
    """

    name: str
    prepare: Prepare
    reverse: bool = False

    @property
    def folds(self) -> bool:
        """Whether its forms are those of the default comparator, which caches hold."""
        return self.prepare is unicode_casemap


@lru_cache(16)
def comparator(selected: str) -> Comparator:
    """Return what :func:`matching` has named, the default one for "" and for unknown names."""
    prepare = COMPARATORS.get(selected.removeprefix("-"))
    if prepare is None:
        return Comparator(DEFAULT, unicode_casemap)
    return Comparator(selected, prepare, selected.startswith("-"))


_ORDER = re.compile(r"[+-]?(?:\*|[A-Za-z]\*?)(?:[A-Za-z0-9;=.-]\*?)*")
_LONGEST = 254


def matching(order: str) -> list[str]:
    """Return the comparators that a client asks for, widely useful ones first.

    ``order`` may have wildcards, and a direction in front; "default" is the default one (RFC
    4790 §3.1 to §3.3). Raises ValueError for what is no collation-order.
    """
    wanted = order.lstrip("+-").lower()
    if len(wanted) > _LONGEST or not _ORDER.fullmatch(order):
        raise ValueError(order)
    direction = "-" if order.startswith("-") else ""
    pattern = DEFAULT if wanted == "default" else wanted
    return [direction + name for name in COMPARATORS if _fits(name, pattern)]


def _fits(name: str, pattern: str) -> bool:
    """Match in linear time; nothing is compiled, so that nothing of it is kept."""
    first, *others = pattern.split("*")
    if not others:
        return name == pattern
    *inner, last = others
    if not name.startswith(first):
        return False
    at = len(first)
    for piece in inner:
        found = name.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return name.endswith(last) and len(name) - at >= len(last)
