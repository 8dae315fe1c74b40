"""STORE under a condition: only what has not changed since (RFC 7162 §3.1.3)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from pymaild.index import History, Index, View
from pymaild.mail.flags import Flags


@dataclass(slots=True)
class Unchanged:
    """UNCHANGEDSINCE with a mod-sequence; ``failed`` are the sequence numbers that did not pass."""

    since: int
    failed: list[int] = field(default_factory=list)

    def sift(
        self, index: Index, rows: dict[int, int], how: str, given: Flags, ours: Collection[int] = ()
    ) -> None:
        """Take out of ``rows`` (sequence number to row) those that do not pass.

        ``ours`` have been changed by this very command.
        """
        passing = self.passing(index, rows.values(), how, given).union(ours)
        self.failed = [seq for seq, row in rows.items() if row not in passing]
        for seq in self.failed:
            del rows[seq]

    def passing(self, index: Index, rows: Collection[int], how: str, given: Flags) -> set[int]:
        """Return the rows that a STORE may touch; the caller holds the lock.

        A message has one mod-sequence for all its flags. Where flags are added or removed, the
        log says whether it was these that changed, so that no other change stands in the way
        (RFC 7162 §3.1.12).
        """
        if self.since == 0:
            return {row for row in rows if not _existent(index, row, how, given)}
        passed = {row for row in rows if index.modseq(row) <= self.since}
        rest = [row for row in rows if row not in passed]
        view = View.of(index) if rest and how != "set" else None
        if view is not None:
            passed |= History(view).unchanged(rest, self.since, given.system, given.keywords)
        return passed


def _existent(index: Index, row: int, how: str, given: Flags) -> bool:
    """Whether a flag in question exists, system flags always (RFC 7162 §3.1.3)."""
    return how == "set" or bool(given.system or index.fields(row)[2] & given.keywords)
