"""Comparators: the form of a text in which equality, order and substring are those of its octets.

RFC 4790 §9 (i;octet, i;ascii-casemap), RFC 5051 (i;unicode-casemap), RFC 5255 §4.6.
"""

from __future__ import annotations

from collections.abc import Callable
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
