"""Replies against RFC 9051's own grammar, with the rules of RFC 3501 that it left behind."""

from __future__ import annotations

import re
from typing import ClassVar

from abnf import ParseError
from abnf.grammars import rfc9051
from abnf.parser import Rule

LONGEST = 600  # octets of a reply that is checked; the parser backtracks
MOST = 2500  # replies of one run
_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n")
_QUOTED = re.compile(rb'(INTERNALDATE "[^"]*")|"(?:[^"\\]|\\.)*"')
_PLAIN = re.compile(rb'[^"\\\x00-\x1f\x7f]+')


class Reply(Rule):
    """RFC 9051 §9 with what RFC 3501 §9 had: RECENT, LSUB, UNSEEN, RFC822.TEXT, `* SEARCH`."""

    grammar: ClassVar[list[str]] = [
        'old-data = number SP "RECENT" / "LSUB" SP mailbox-list / "SEARCH" *(SP nz-number) / '
        '"OK" SP "[UNSEEN" SP nz-number "]" SP text / '
        '"CAPABILITY" *(SP capability) / "ID" SP id-params / '
        '"STATUS" SP mailbox SP "(" [old-status *(SP old-status)] ")" / '
        'nz-number SP "FETCH" SP "(" old-item *(SP old-item) ")" / '
        '"FLAGS" SP "(" [old-flag *(SP old-flag)] ")"',
        'id-params = nil / "(" [string SP nstring *(SP string SP nstring)] ")"',
        'old-flag = flag / "\\Recent"',
        'old-status = status-att-val / ("RECENT" / "APPENDLIMIT") SP number',
        'old-item = msg-att-dynamic / msg-att-static / "RFC822" [".HEADER" / ".TEXT"] SP nstring',
        'old-line = "*" SP old-data CRLF',
        "any-line = old-line / response-data / response-done / continue-req",
    ]


def load() -> None:
    """Make RFC 9051's rules known to ours."""
    for rule in rfc9051.Rule.rules():
        Reply(rule.name, rule.definition)
    for text in Reply.grammar:
        Reply.create(text)


seen: dict[bytes, bytes] = {}


def note(raw: bytes) -> None:
    """Remember a reply, one of each shape."""
    if len(raw) <= LONGEST and len(seen) < MOST and raw.isascii():
        seen.setdefault(shape(raw), raw)


def shape(raw: bytes) -> bytes:
    """What the grammar tells apart: not one number from another, nor one plain text in quotes.

    Quotes, escapes, controls, empty strings and dates stay, and so does what is in no string.
    """
    pieces = []
    while literal := _LITERAL.search(raw):
        end = literal.end() + int(literal[1])
        pieces += [_strings(raw[: literal.start()]), b"{}" if raw[literal.end() : end] else b"{0}"]
        raw = raw[end:]
    return re.sub(rb"[0-9]+", b"0", b"".join([*pieces, _strings(raw)]))


def _strings(text: bytes) -> bytes:
    return _QUOTED.sub(lambda found: found[1] or _PLAIN.sub(b"a", found[0]), text)


def unlawful() -> list[bytes]:
    """The remembered replies that the grammar does not allow."""
    load()
    rule = Reply("any-line")
    bad = []
    for raw in seen.values():
        try:
            rule.parse_all(raw.decode())
        except ParseError:
            bad.append(raw)
    return bad
