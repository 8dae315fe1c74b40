"""The answer to SEARCH and SORT: what is told, and what is kept of it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import results
from pymaild.imap._found import spaced
from pymaild.imap.results import Returns
from pymaild.imap.sets import uid_ranges

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.index import View

_SLICE = 8192  # numbers that are put together before they are written


def saving(session: ImapSession, returns: Returns | None) -> AbstractContextManager[None]:
    """A search that is answered NO empties "$" if it was to be saved (RFC 5182 §2.1)."""
    return _emptying(session) if returns is not None and returns.save else _UNSAVED


_UNSAVED = nullcontext()


@contextmanager
def _emptying(session: ImapSession) -> Iterator[None]:
    try:
        yield
    except BadSyntax:
        raise
    except Exception:
        session.record.saved = []
        raise


def highest(view: View, seqs: Sequence[int]) -> int:
    """The highest mod-sequence of messages."""
    return max(map(view.modseq, seqs), default=0)


@dataclass(frozen=True, slots=True)
class Answer:
    """How one command is answered.

    ``name`` is that of the response without RETURN, SEARCH or SORT; IMAP4rev2 knows no SEARCH
    response but ESEARCH (RFC 9051 §6.4.4). ``modseq``: the highest mod-sequence is told (RFC 7162
    §3.1.5).
    """

    session: ImapSession
    name: bytes
    by_uid: bool
    returns: Returns | None
    modseq: bool = False

    def tell(self, seqs: Sequence[int]) -> None:
        """Tell the messages found, in the order of the results, and save them for "$"."""
        session = self.session
        view = session.current.selected.view
        if self.modseq:
            session.aware()
        returns = self.returns
        if returns is None and self.name == b"SEARCH" and session.modes.rev2:
            returns = results.DEFAULT
        if returns is None:
            found = view.uids(seqs) if self.by_uid else array("I", seqs)
            self._plain(found, highest(view, seqs) if self.modseq else 0)
        else:
            self.keep(returns, seqs)
            self.extended(returns, view, seqs, results.correlator(session.tag))

    def keep(self, returns: Returns, seqs: Sequence[int]) -> None:
        """Save messages of the selected mailbox for "$", if that was asked for.

        What is too much to keep is refused (RFC 5182 §2.5).
        """
        if not returns.save:
            return
        session = self.session
        ranges = uid_ranges(session.current.selected.view, sorted(returns.chosen(seqs)))
        if len(ranges) > session.settings.saved_ranges:
            raise Refused(Code.NOTSAVED, "Too many results to save")
        session.record.saved = [list(span) for span in ranges]

    def extended(
        self, returns: Returns, view: View, seqs: Sequence[int], correlated: bytes
    ) -> None:
        """Write an ESEARCH response about messages of any view."""
        if returns.silent:
            return
        found = view.uids(seqs) if self.by_uid else seqs
        modseq = highest(view, returns.chosen(seqs)) if self.modseq else 0
        for piece in results.esearch(correlated, self.by_uid, returns, found, modseq):
            self.session.write(piece)

    def _plain(self, found: array[int], modseq: int) -> None:
        """RFC 3501 §7.2.5, RFC 7162 §3.1.6: told even when nothing is found."""
        write = self.session.write
        write(b"* " + self.name)
        for start in range(0, len(found), _SLICE):
            write(spaced(found, start, start + _SLICE))
        write(b" (MODSEQ %d)\r\n" % modseq if modseq else b"\r\n")
