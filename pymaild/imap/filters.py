"""Searches that stand on the server by name, as annotations of it (RFC 5466)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap._arguments import Arguments
from pymaild.imap.reread import reread

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.metadata import Entries

#: Where the values of filters stand; the private one counts where there are both (§3.1).
_PLACES = ("/private/filters/values/", "/shared/filters/values/")

#: filter-name (§4): an atom without "/".
NAME = re.compile(r"[^\x00-\x20/(){%*\"\\\]\x7f-\U0010ffff]+")
_DEEPEST = 5  # filters inside of each other; §3.1 asks for 3


@dataclass
class Filters:
    """The filters that one command names. Each is put in the place of its name."""

    session: ImapSession
    under_way: list[str] = field(default_factory=list)
    size: int = 0  # octets of all that was put in
    _entries: Entries | None = None

    def find(self, name: str) -> str:
        """Return the program of a filter, decoded as Latin-1. Raises Refused UNDEFINED-FILTER.

        One that leads back to itself, or too deep, is as one that is not there (§3.1).
        """
        if self._entries is None:
            self._entries = self.session.account.annotations("").all()
        values = (self._entries.get(place + name.lower()) for place in _PLACES)
        value = next((value for value in values if value is not None), None)
        if value is None or name.lower() in self.under_way or len(self.under_way) >= _DEEPEST:
            raise undefined(name)
        self.size += len(value)
        if self.size > self.session.settings.command_size:
            raise Refused(Code.LIMIT, "The filters of this search are too long together")
        return value.decode("latin-1")

    def arguments(self, program: str) -> Arguments:
        """Return a cursor over a program. Raises BadSyntax."""
        text = program.encode("latin-1")
        return reread(text, self.session)


def undefined(name: str) -> Refused:
    """The refusal of a filter that is not there."""
    refused = Refused(Code.UNDEFINED_FILTER, "There is no such filter")
    refused.argument = name
    return refused


def read_name(args: Arguments) -> str:
    """filter-name (RFC 5466 §4)."""
    name = args.atom().decode("ascii", "replace")
    if not NAME.fullmatch(name):
        raise BadSyntax("Expected the name of a filter")
    return name


def filter_in(entry: str) -> str | None:
    """Return the name of the filter whose value an entry holds, None for other entries."""
    for place in _PLACES:
        if entry.startswith(place):
            return entry[len(place) :]
    return None
