"""Flags as bits. System flags: RFC 9051 §2.3.2; keywords: one bit for each of a mailbox's names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

SEEN, ANSWERED, FLAGGED, DELETED, DRAFT = 1, 2, 4, 8, 16

#: In the order in which they are told.
NAMES: tuple[tuple[int, str], ...] = (
    (ANSWERED, "\\Answered"),
    (FLAGGED, "\\Flagged"),
    (DELETED, "\\Deleted"),
    (SEEN, "\\Seen"),
    (DRAFT, "\\Draft"),
)

#: Flags match without regard to case (RFC 9051 §2.3.2).
BITS = {name.upper(): bit for bit, name in NAMES}


@dataclass(frozen=True, slots=True)
class Flags:
    """``system``: the bits above; ``keywords``: bit n for the mailbox's keyword n."""

    system: int = 0
    keywords: int = 0

    def combined(self, how: str, other: Flags) -> Flags:
        """Return these flags after a STORE of ``other``: set, add or remove."""
        return _COMBINE[how](self, other)

    def limited(self, before: Flags, allowed: Flags) -> Flags:
        """Return these flags where a change is allowed, and those of ``before`` elsewhere."""
        return Flags(
            self.system & allowed.system | before.system & ~allowed.system,
            self.keywords & allowed.keywords | before.keywords & ~allowed.keywords,
        )


EVERYTHING = Flags(SEEN | ANSWERED | FLAGGED | DELETED | DRAFT, (1 << 64) - 1)


@lru_cache(maxsize=256)
def allowed(rights: frozenset[str]) -> Flags:
    """Return the flags that a user with these rights may change (RFC 4314 §4)."""
    others = EVERYTHING if "w" in rights else Flags()
    system = others.system & ~(SEEN | DELETED)
    system |= SEEN if "s" in rights else 0
    system |= DELETED if "t" in rights else 0
    return Flags(system, others.keywords)


def _added(ours: Flags, given: Flags) -> Flags:
    return Flags(ours.system | given.system, ours.keywords | given.keywords)


def _removed(ours: Flags, given: Flags) -> Flags:
    return Flags(ours.system & ~given.system, ours.keywords & ~given.keywords)


_COMBINE: dict[str, Callable[[Flags, Flags], Flags]] = {
    "set": lambda _, given: given,
    "add": _added,
    "remove": _removed,
}


def names(flags: Flags, keywords: list[str]) -> list[str]:
    """Return flag names; ``keywords`` are the mailbox's names in bit order."""
    found = [name for bit, name in NAMES if flags.system & bit]
    if flags.keywords:
        found += [name for bit, name in enumerate(keywords) if flags.keywords >> bit & 1]
    return found
