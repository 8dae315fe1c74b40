"""What the table of commands is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymaild.imap._arguments import Arguments

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

#: Runs a command: reads its arguments, writes untagged replies, and returns the text of its
#: OK, or None for the usual one. BadSyntax becomes BAD, Refused becomes NO.
Handler = Callable[["ImapSession", Arguments], "bytes | None"]

#: Asked when a literal is announced before the command is complete: true when the command
#: wants to run now and take the literal itself; false to have it kept as an argument.
Announced = Callable[["ImapSession", Arguments], bool]


@dataclass(frozen=True, slots=True)
class Command:
    """One row: a command, where it is valid, and what it does to sequence numbers.

    ``expunge`` says whether EXPUNGE may be told before its tagged reply (RFC 3501 §7.4.1).
    ``capability`` is the one that announces the command, "" for the base protocol.
    ``changes`` is false where it leaves the record alone: but for how many commands there were,
    and what there is to tell of the selected mailbox.
    """

    name: str
    states: frozenset[str]
    run: Handler
    rfc: str
    expunge: bool = True
    capability: str = ""
    changes: bool = True
    announced: Announced | None = None
    ok: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ok", b" OK %b completed\r\n" % self.name.encode())
