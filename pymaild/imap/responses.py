"""Pieces of replies (RFC 3501 §7, RFC 9051 §7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from pymaild.core.errors import Refused
from pymaild.core.texts import CATALOGUES

_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]{0,1000}")
_ATOM = re.compile(rb"(?!NIL\Z)[!#$&'+,./0-9:;<=>?@A-Z\[\]^_`a-z|}~-]{1,1000}", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[^ -~]+")
_UNPRINTABLE_UTF8 = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]+")
_PIECE = 4096  # ranges of a set that are put together before they are written


def string(value: bytes) -> bytes:
    """string (RFC 3501 §9): quoted where that can hold it, else a literal."""
    if _QUOTABLE.fullmatch(value):
        return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b"{%d}\r\n%b" % (len(value), value)


def astring(value: bytes) -> bytes:
    """astring (RFC 3501 §9): as it is where an atom can hold it, else a string.

    For what clients show as they find it, quotes and all.
    """
    return value if _ATOM.fullmatch(value) else string(value)


def nstring(value: bytes | None) -> bytes:
    """nstring (RFC 3501 §9)."""
    return b"NIL" if value is None else string(value)


def text(line: str) -> bytes:
    """resp-text (RFC 3501 §9): one line of printable ASCII, whatever went in."""
    if not (line.isascii() and line.isprintable()):
        line = _UNPRINTABLE.sub("?", line)
    return line.encode("ascii") or b"-"


#: Makes a resp-text of a text in the language of a session.
Say = Callable[[str], bytes]


def speech(language: str) -> Say:
    """Return what says texts in a language, "" for English: :func:`text`, which has no detour."""
    catalogue = CATALOGUES.get(language)
    if catalogue is None:
        return text

    def say(line: str) -> bytes:
        """resp-text (RFC 5255 §3.5): UTF-8 without control characters."""
        return _UNPRINTABLE_UTF8.sub("?", catalogue(line)).encode() or b"-"

    return say


def refusal(error: Refused, say: Say = text) -> bytes:
    """Code and text of a NO (RFC 5530)."""
    code = " ".join(filter(None, (error.code, error.argument))).encode("ascii")
    return (b"[%b] " % code if code else b"") + say(error.text)


def sequence_set(numbers: Iterable[int]) -> bytes:
    """sequence-set (RFC 3501 §9), in the order given; runs that ascend by one become ranges."""
    return b",".join(map(_range, runs(numbers)))


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (low, high) of each run that ascends by one."""
    low = high = 0
    for number in numbers:
        if high and number == high + 1:
            high = number
            continue
        if high:
            yield low, high
        low = high = number
    if high:
        yield low, high


def set_pieces(numbers: Iterable[int]) -> Iterator[bytes]:
    """Yield a long sequence-set in pieces."""
    ranges = map(_range, runs(numbers))
    comma = b""
    while piece := b",".join(islice(ranges, _PIECE)):
        yield comma + piece
        comma = b","


def _range(run: tuple[int, int]) -> bytes:
    low, high = run
    return b"%d" % low if low == high else b"%d:%d" % run


def vanished(gone: Iterable[tuple[int, int]], earlier: bool = False) -> Iterator[bytes]:
    """Yield VANISHED responses of bounded length (RFC 7162 §3.2.10) for ranges of UIDs.

    ``earlier``: they went before this mailbox was selected, or before a known state of it.
    """
    head = b"* VANISHED (EARLIER) " if earlier else b"* VANISHED "
    ranges = map(_range, gone)
    while piece := b",".join(islice(ranges, _PIECE)):
        yield head + piece + b"\r\n"


_MONTHS = tuple(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())


def date_time(seconds: int) -> bytes:
    """date-time (RFC 3501 §9) in UTC, of seconds from 1970 in years 1 to 9999."""
    day, rest = divmod(seconds, 86400)
    year, month, date = _civil(day)
    hour, rest = divmod(rest, 3600)
    return b'"%2d-%b-%04d %02d:%02d:%02d +0000"' % (
        date,
        _MONTHS[month - 1],
        year,
        hour,
        rest // 60,
        rest % 60,
    )


def _civil(day: int) -> tuple[int, int, int]:
    """Return year, month and day of a count of days from 1970-01-01, proleptic Gregorian.

    Years count from March here, so that the leap day is the last of its year.
    """
    era, in_era = divmod(day + 719468, 146097)
    year = (in_era - in_era // 1460 + in_era // 36524 - in_era // 146096) // 365
    in_year = in_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * in_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + era * 400 + (month <= 2), month, in_year - (153 * shifted + 2) // 5 + 1
