"""Where ESEARCH looks (RFC 7377 §2.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.imap import grammar
from pymaild.imap._arguments import Arguments
from pymaild.imap.choice import NAMED, OTHERS, covering

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

_SELECTED = "selected"


@dataclass(slots=True)
class Sources:
    """Choices of mailboxes, each with the names given to it."""

    choices: list[tuple[str, list[str]]] = field(default_factory=list)

    @classmethod
    def read(cls, args: Arguments) -> Sources:
        """Read IN (...) and the space behind it; the selected mailbox where it is not there."""
        if not args.ahead(b"IN"):
            return cls([(_SELECTED, [])])
        args.name()
        args.sp()
        args.open()
        sources = cls()
        while args.item():
            sources._read_choice(args)
        if not sources.choices:
            raise BadSyntax("Expected a choice of mailboxes")
        args.sp()
        return sources

    def _read_choice(self, args: Arguments) -> None:
        word = args.name().decode("ascii").lower()
        if word != _SELECTED and word not in OTHERS:
            raise BadSyntax("Unknown choice of mailboxes")
        names = []
        if word in NAMED:
            args.sp()
            names = grammar.mailboxes(args)
        self.choices.append((word, names))

    @property
    def selected(self) -> bool:
        """Whether the selected mailbox is asked for as such."""
        return any(word == _SELECTED for word, _ in self.choices)

    @property
    def others(self) -> bool:
        """Whether any other mailbox can be meant."""
        return any(word != _SELECTED for word, _ in self.choices)

    def mailboxes(self, session: ImapSession) -> list[str]:
        """Return the names to look at, each once; those that are given need not exist."""
        found = [session.record.mailbox] if self.selected else []
        for word, names in self.choices:
            if word == "mailboxes":
                found += names
            elif word != _SELECTED:
                found += _covered(session, word, names)
        return list(dict.fromkeys(found))


def _covered(session: ImapSession, word: str, names: list[str]) -> list[str]:
    """A walk over a list of names: no loop in the tree can lead it astray."""
    covers = covering(session.account, word, names)
    return [e.name for e in session.account.entries() if e.selectable and covers(e.name)]
