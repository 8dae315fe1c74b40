"""Plain text from HTML (RFC 2854): what a reader would see first, in linear time."""

from __future__ import annotations

import html
import re

_ENOUGH = 500  # characters of text behind which no more is gathered
_ENTITY = 6  # characters that an entity has, and what it stands for has not
_QUOTES_LOOKED_AT = 8  # ">" inside of quoted attributes that are stepped over in one tag

_BLOCK_NAMES = """
    address article aside blockquote body br center dd div dl dt excerpt fieldset figure footer
    form h1 h2 h3 h4 h5 h6 header hr html li main nav nl ol p paragraph pre section table td th tr
    ul
"""
_UNSEEN_NAMES = "math object param script select style svg template textarea title"

#: Elements that begin a new line; all others stand inside one.
_BLOCKS = frozenset(_BLOCK_NAMES.split())

#: Elements whose content is not shown.
_UNSEEN = frozenset(_UNSEEN_NAMES.split())

_MARK = re.compile(r"<(?:(/?)([a-zA-Z][a-zA-Z0-9]{0,15})[^>]*>|(!--)|[!?/][^>]*>)")
_BROKEN_OFF = re.compile(r"<[a-zA-Z!?/]")
_LONG_NUMBER = re.compile(r"&#0*[0-9]{8,};?")  # of no character; too long for int() at some point


def plain_text(text: str) -> str:
    """Return the text of HTML, a line for each block; lines inside of blockquote begin with ">".

    Markup that is broken off ends the text. Work is linear in the length.
    """
    return html.unescape(_LONG_NUMBER.sub("\ufffd", "".join(_Walk(text).pieces())))


class _Walk:
    """One pass over the markup."""

    def __init__(self, text: str) -> None:
        self._text = text
        lower = text.lower()
        self._lower = lower if len(lower) == len(text) else text
        self._quoted = 0
        self._found: list[str] = []

    def pieces(self) -> list[str]:
        """The text between the tags, and line ends."""
        text, at, size = self._text, 0, 0
        last = text.rfind(">") + 1  # no mark is looked for where none can end
        while size < _ENOUGH and 0 <= at < len(text):
            mark = _MARK.search(text, at, last)
            if mark is None:
                broken = _BROKEN_OFF.search(text, at)
                self._found.append(text[at : broken.start() if broken else None])
                break
            run = text[at : mark.start()]
            if run:
                self._found.append(run.replace("\n", " "))
                size += len(run.strip()) - _ENTITY * run.count("&")
            at = self._step(mark)
        return self._found

    def _step(self, mark: re.Match[str]) -> int:
        """Act on a mark; returns where it ends, -1 for never."""
        end = mark.end()
        if mark[3]:
            end = self._text.find("-->", end)
            return end + 3 if end >= 0 else -1
        if mark[2] is None:
            return end
        if mark[0].count('"') & 1:
            end = self._end_of_tag(mark)
        return self._element(mark[2].lower(), bool(mark[1]), end) if end >= 0 else -1

    def _end_of_tag(self, mark: re.Match[str]) -> int:
        """The place behind the tag's ">", where one stands in its attributes."""
        end = mark.end()
        for _ in range(_QUOTES_LOOKED_AT):
            end = self._text.find(">", end) + 1
            if end == 0 or self._text.count('"', mark.start(), end) & 1 == 0:
                break
        return end or -1

    def _element(self, name: str, closes: bool, end: int) -> int:
        if name in _UNSEEN and not closes:
            return self._lower.find(f"</{name}", end)
        if name in ("blockquote", "excerpt"):
            self._quoted = max(0, self._quoted + (-1 if closes else 1))
        if name in _BLOCKS:
            self._found.append("\n> " if self._quoted else "\n")
        return end
