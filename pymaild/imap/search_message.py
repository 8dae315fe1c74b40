"""Search keys that need the message: its Date field, its header, its text (RFC 3501 §6.4.4)."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_tz
from typing import Literal

from pymaild.imap._found import either
from pymaild.imap._texts import holding, reading
from pymaild.imap.search import BODY, CACHE, HEADER, Scope
from pymaild.mail.cache import KEYS
from pymaild.mime._matcher import Words
from pymaild.mime.collation import Comparator
from pymaild.mime.text import header_texts

_FOREVER = (1 << 62) - 1


class _NotOfRows:
    """Keys that are asked of one message after the other, where they know no better way."""

    @property
    def cost(self) -> int:
        raise NotImplementedError

    def find(self, scope: Scope) -> array[int]:
        return self.sift(scope, scope.all())

    def sift(self, scope: Scope, seqs: array[int]) -> array[int]:
        return scope.each(self, seqs)

    def test(self, scope: Scope, seq: int) -> bool:
        raise NotImplementedError


@dataclass(frozen=True)
class Sent(_NotOfRows):
    """SENTBEFORE, SENTON, SENTSINCE: the day in the Date field, in days from 1970.

    As it stands there, without regard to its time and zone; no date matches nothing.
    """

    low: int = -_FOREVER
    high: int = _FOREVER
    cost: int = CACHE

    def test(self, scope: Scope, seq: int) -> bool:
        day = _sent_day(scope.message(seq).envelope)
        return day is not None and self.low <= day <= self.high


@dataclass(frozen=True)
class ObjectId(_NotOfRows):
    """EMAILID and THREADID (RFC 8474 §6)."""

    kind: Literal["emailid", "threadid"]
    value: bytes
    cost: int = CACHE

    def test(self, scope: Scope, seq: int) -> bool:
        found: bytes = getattr(scope.message(seq), self.kind)
        return found == self.value


@dataclass(frozen=True)
class Header(_NotOfRows):
    """A header field: ``text`` is as the comparator prepares it; "" asks for the field alone.

    The cache has texts for the default comparator, and fields as they came for others.
    """

    name: bytes
    text: str
    comparator: Comparator

    @property
    def cost(self) -> int:
        return CACHE if self.text and self.name in KEYS else HEADER

    def sift(self, scope: Scope, seqs: array[int]) -> array[int]:
        if self.cost != CACHE:
            return scope.each(self, scope.narrowed(self.text, seqs))
        if not self.comparator.folds:
            return scope.each(self, seqs)
        wanted = self.text.encode("utf-8", "surrogatepass")
        found, left = holding(scope.view, seqs, KEYS.index(self.name), wanted, scope.beat)
        return either(found, scope.each(self, left)) if left else found

    def test(self, scope: Scope, seq: int) -> bool:
        message, prepare = scope.message(seq), self.comparator.prepare
        cached = self.cost == CACHE
        if cached and self.comparator.folds:
            return self.text in message.key(self.name)
        header = message.entry().fields if cached else message.header()
        return any(self.text in prepare(value) for value in header_texts(header, self.name))


@dataclass(frozen=True)
class Text(_NotOfRows):
    """BODY and TEXT: ``text`` is as the comparator prepares it."""

    text: str
    header: bool
    comparator: Comparator
    cost: int = BODY

    def sift(self, scope: Scope, seqs: array[int]) -> array[int]:
        seqs = scope.narrowed(self.text, seqs)
        if not (self.text and self.comparator.folds) or _SEPARATE & set(self.text):
            return scope.each(self, seqs)
        words, octets = Words(self.text, self.header), scope.selection.mailbox.mail.octets()
        found, left = reading(scope.view, seqs, octets, words, scope.beat)
        return either(found, scope.each(self, left)) if left else found

    def test(self, scope: Scope, seq: int) -> bool:
        if not self.text:
            return True
        prepare = self.comparator.prepare
        for piece in scope.message(seq).search_text(self.header):
            if self.text in prepare(piece):
                return True
            scope.beat()
        return False


#: What stands between lines and between texts.
_SEPARATE = frozenset("\r\n\0")

_ENVELOPE_DATE = re.compile(rb'\((?:"((?:[^"\\]|\\.){0,200})"|\{[0-9]+\}\r\n(.{0,200}))', re.DOTALL)


def _sent_day(envelope: bytes) -> int | None:
    """Read the first string of an ENVELOPE as a date; days from 1970."""
    match = _ENVELOPE_DATE.match(envelope)
    if match is None:
        return None
    try:
        parsed = parsedate_tz((match[1] or match[2] or b"").decode("ascii", "replace"))
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    return _day_number(parsed[0], parsed[1], parsed[2]) if parsed else None


def _day_number(year: int, month: int, day: int) -> int | None:
    try:
        return date(year, month, day).toordinal() - 719163
    except (ValueError, OverflowError):
        return None
