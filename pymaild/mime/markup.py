"""Plain text from HTML (RFC 2854): what a reader would see first, in linear time."""

from __future__ import annotations

import html
import re

_ENOUGH = 4000  # characters of text behind which no more is gathered
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

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,15})")
_LONG_NUMBER = re.compile(r"&#0*[0-9]{8,};?")  # of no character; too long for int() at some point
_CLOSING = {name: re.compile(f"</{name}", re.IGNORECASE) for name in _UNSEEN}


def plain_text(text: str) -> str:
    """Return the text of HTML, a line for each block; lines inside of blockquote begin with ">".

    Markup that is broken off ends the text. Work is linear in the length.
    """
    return html.unescape(_LONG_NUMBER.sub("\ufffd", "".join(_Walk(text).pieces())))


class _Walk:
    """One pass over the markup."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._quoted = 0
        self._found: list[str] = []

    def pieces(self) -> list[str]:
        """The text between the tags, and line ends."""
        at = size = 0
        while 0 <= at < len(self._text) and size < _ENOUGH:
            start = self._text.find("<", at)
            run = " ".join(self._text[at : start if start >= 0 else None].split("\n"))
            self._found.append(run)
            size += len(run.strip())
            if start < 0:
                break
            at = self._step(start)
        return self._found

    def _step(self, start: int) -> int:
        """Step over what begins with "<"; returns where it ends, -1 for never."""
        if self._text.startswith("<!--", start):
            end = self._text.find("-->", start + 4)
            return end + 3 if end >= 0 else -1
        tag = _TAG.match(self._text, start)
        if tag is None:
            if self._text[start + 1 : start + 2] in ("!", "?", "/"):
                return self._text.find(">", start) + 1 or -1
            self._found.append("<")
            return start + 1
        end = self._end_of_tag(start)
        return self._element(tag[2].lower(), bool(tag[1]), end) if end >= 0 else -1

    def _end_of_tag(self, start: int) -> int:
        """The place behind the tag's ">", which may also stand in its attributes."""
        end = self._text.find(">", start)
        for _ in range(_QUOTES_LOOKED_AT):
            if end < 0 or self._text.count('"', start, end) % 2 == 0:
                break
            end = self._text.find(">", end + 1)
        return end + 1 or -1

    def _element(self, name: str, closes: bool, end: int) -> int:
        if name in _UNSEEN and not closes:
            closing = _CLOSING[name].search(self._text, end)
            return closing.start() if closing else -1
        if name in ("blockquote", "excerpt"):
            self._quoted = max(0, self._quoted + (-1 if closes else 1))
        if name in _BLOCKS:
            self._found.append("\n> " if self._quoted else "\n")
        return end
