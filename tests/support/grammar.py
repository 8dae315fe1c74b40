"""Replies against RFC 9051's own grammar, with the rules that extensions add to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from abnf import ParseError
from abnf.grammars import rfc3629, rfc9051
from abnf.parser import Rule

LONGEST = 600  # octets of a reply that is checked; the parser backtracks
MOST = 2500  # replies of one run
RULES = Path(__file__).resolve().parents[1] / "abnf"
_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n")
_QUOTED = re.compile(rb'(INTERNALDATE "[^"]*")|"(?:[^"\\]|\\.)*"')
_PLAIN = re.compile(rb'[^"\\\x00-\x1f\x7f]+')
_COMMENT = re.compile(r"^\s*;.*$", re.MULTILINE)


class Reply(Rule):
    """RFC 9051 §9, widened by the files of rules beside the tests, a file for each RFC."""


def load() -> None:
    """Read RFC 9051's rules into a class of our own, so that ours can widen them."""
    for text in rfc9051.Rule.grammar:
        Reply.create(text)
    for name in ("UTF8-char", "UTF8-2", "UTF8-3", "UTF8-4"):
        Reply(name, rfc3629.Rule(name).definition)
    for text in _rules():
        Reply.create(text)


def _rules() -> Iterator[str]:
    """The rules of all files: an empty line between two, comments from ";" to the end."""
    for path in sorted(RULES.glob("*.abnf")):
        for block in _COMMENT.sub("", path.read_text()).split("\n\n"):
            if rule := " ".join(block.split()):
                yield rule


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
