"""Patterns of LIST and LSUB (RFC 3501 §6.3.8): "%" stops at a separator, "*" at nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from pymaild.core.errors import Code, Refused

_MOST = 100  # patterns of one command
_WILDCARDS = re.compile(r"([%*]+)")

Match = Callable[[str], bool]


def matcher(pattern: str, separator: str) -> Match:
    """Return a test for names; its time is linear in the name, whatever the pattern.

    INBOX matches in any case (RFC 3501 §5.1).
    """
    plain = _matcher(_canonical(pattern, separator), separator)
    inbox = _matcher(pattern.upper(), separator)("INBOX")
    return lambda name: inbox if name == "INBOX" else plain(name)


def union(patterns: Iterable[str], separator: str) -> Match:
    """Return a test for names that match one of several patterns. Raises Refused (LIMIT).

    Any number of them may be mere names; it takes as long as the others alone.
    """
    plain, others = set(), []
    for pattern in dict.fromkeys(patterns):
        if _WILDCARDS.search(pattern):
            others.append(matcher(pattern, separator))
        else:
            plain.add(_canonical(pattern, separator))
    if len(others) > _MOST:
        raise Refused(Code.LIMIT, "There are too many patterns")
    return lambda name: name in plain or any(match(name) for match in others)


def _canonical(pattern: str, separator: str) -> str:
    """Put a first level that says INBOX into capitals."""
    behind = pattern[5:6]
    if pattern[:5].upper() == "INBOX" and (behind in ("", separator, "%", "*")):
        return "INBOX" + pattern[5:]
    return pattern


def _matcher(pattern: str, separator: str) -> Match:
    literals, free, inside = _parse(pattern)
    if not free and not inside:
        return lambda name: name == literals
    if not literals:
        return (lambda name: True) if free else (lambda name: separator not in name)
    return _Automaton(literals, free, inside, separator).matches


def _parse(pattern: str) -> tuple[str, int, int]:
    """Return the characters of a pattern, and at which of them "*" and "%" stand, as bits.

    Bit n stands for the place before character n. A run of wildcards with a "*" in it is one.
    """
    literals, free, inside = "", 0, 0
    for index, piece in enumerate(_WILDCARDS.split(pattern)):
        if index % 2 == 0:
            literals += piece
        elif "*" in piece:
            free |= 1 << len(literals)
        else:
            inside |= 1 << len(literals)
    return literals, free, inside


class _Automaton:
    """All the places that a pattern can be in, as bits of one number, moved by each character."""

    def __init__(self, literals: str, free: int, inside: int, separator: str) -> None:
        self._free, self._both = free, free | inside
        self._separator = separator
        self._end = len(literals)
        self._steps: dict[str, int] = {}
        for place, character in enumerate(literals):
            self._steps[character] = self._steps.get(character, 0) | 1 << place

    def matches(self, name: str) -> bool:
        """Whether the whole name matches."""
        if self._end > len(name):
            return False
        places = 1
        for character in name:
            stay = self._free if character == self._separator else self._both
            places = (places & self._steps.get(character, 0)) << 1 | places & stay
            if not places:
                return False
        return bool(places >> self._end & 1)
