"""The answer to SEARCH and SORT: what is told, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import results
from pymaild.imap.responses import numbers
from pymaild.imap.results import Returns
from pymaild.imap.sets import uid_ranges

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

_SLICE = 8192  # numbers that are put together before they are written


@contextmanager
def saving(session: ImapSession, returns: Returns | None) -> Iterator[None]:
    """A search that is answered NO empties "$" if it was to be saved (RFC 5182 §2.1)."""
    try:
        yield
    except BadSyntax:
        raise
    except Exception:
        if returns is not None and returns.save:
            session.record.saved = []
        raise


@dataclass(frozen=True, slots=True)
class Answer:
    """How one command is answered.

    ``name`` is that of the response without RETURN, SEARCH or SORT; IMAP4rev2 knows ESEARCH
    alone (RFC 9051 §6.4.4). ``modseq``: the highest mod-sequence is told (RFC 7162 §3.1.5).
    """

    session: ImapSession
    name: bytes
    by_uid: bool
    returns: Returns | None
    modseq: bool = False

    def tell(self, seqs: Sequence[int]) -> None:
        """Tell the messages found, in the order of the results, and save them for "$"."""
        session = self.session
        returns = self.returns
        if returns is None and session.modes.rev2:
            returns = results.DEFAULT
        if returns is not None and returns.save:
            self._save(returns.chosen(seqs))
        uid = session.current.selected.view.uid
        found = results.uids(uid, seqs) if self.by_uid else seqs
        if returns is None:
            self._plain(found, self._highest(seqs))
        elif not returns.silent:
            highest = self._highest(returns.chosen(seqs))
            named = results.correlator(session.tag)
            for piece in results.esearch(named, self.by_uid, returns, found, highest):
                session.write(piece)

    def _highest(self, seqs: Sequence[int]) -> int:
        if not self.modseq:
            return 0
        return max(map(self.session.current.selected.view.modseq, seqs), default=0)

    def _plain(self, found: Sequence[int], highest: int) -> None:
        """RFC 3501 §7.2.5, RFC 7162 §3.1.6: told even when nothing is found."""
        write = self.session.write
        write(b"* " + self.name)
        for start in range(0, len(found), _SLICE):
            write(numbers(found[start : start + _SLICE]))
        write(b" (MODSEQ %d)\r\n" % highest if highest else b"\r\n")

    def _save(self, seqs: Sequence[int]) -> None:
        """RFC 5182 §2.5: what is too much to keep is refused."""
        ranges = uid_ranges(self.session.current.selected.view, sorted(seqs))
        if len(ranges) > self.session.settings.saved_ranges:
            raise Refused(Code.NOTSAVED, "Too many results to save")
        self.session.record.saved = [list(span) for span in ranges]
