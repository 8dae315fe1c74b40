"""Replies against RFC 9051's own grammar, with the rules that extensions add to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from abnf import ParseError
from abnf.grammars import rfc3629, rfc9051
from abnf.parser import Rule

LONGEST = 1000  # octets of a reply that is checked; the parser backtracks
MOST = 2500  # replies of one run
RULES = Path(__file__).resolve().parents[1] / "abnf"
_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n")
_QUOTED = re.compile(rb'(INTERNALDATE "[^"]*")|"(?:[^"\\]|\\.)*"')
_PLAIN = re.compile(rb'[^"\\\x00-\x1f\x7f]+')
#: What the grammar does not tell apart, and what stands for it: tags, plain texts of status
#: responses, long ids, numbers, sets and lists of numbers, keywords. In "+" lines nothing is.
_ALIKE = (
    (re.compile(rb"\A[A-Za-z]+[0-9]* "), b"a "),
    (re.compile(rb"\A(\S+ (?:OK|NO|BAD|BYE|PREAUTH) (?:\[[^\]]*\] )?)[A-Za-z][ -~]*\r"), rb"\1a\r"),
    (re.compile(rb"\b[A-Za-z][0-9A-Za-z_-]{19,}\b"), b"a"),
    (re.compile(rb"[0-9]+"), b"0"),
    (re.compile(rb"\b0(?::0)?(?:,0(?::0)?)+"), b"0,0"),
    (re.compile(rb"(?: 0){3,}(?=[ )\r])"), b" 0 0"),
    (re.compile(rb"\$[A-Za-z0-9]+"), b"$a"),
    (re.compile(rb"(?: \$a)+(?=[ )])"), b" $a"),
)
_COMMENT = re.compile(r"^\s*;.*$", re.MULTILINE)


class Reply(Rule):
    """RFC 9051 §9, widened by the files of rules beside the tests, a file for each RFC."""


@cache
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
    found = b"".join([*pieces, _strings(raw)])
    if not found.startswith(b"+"):
        for pattern, instead in _ALIKE:
            found = pattern.sub(instead, found)
    return found


def _strings(text: bytes) -> bytes:
    return _QUOTED.sub(lambda found: found[1] or _PLAIN.sub(b"a", found[0]), text)


def unlawful(replies: Iterable[bytes] | None = None) -> list[bytes]:
    """Those of the replies, or of all remembered ones, that the grammar does not allow."""
    load()
    rule = Reply("any-line")
    bad = []
    for raw in seen.values() if replies is None else replies:
        try:
            rule.parse_all(raw.decode())
        except ParseError:
            bad.append(raw)
    return bad
