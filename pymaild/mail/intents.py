"""What a session is about to change, noted where another process finds it should this one die.

A note is made inside the lock, before the first step that cannot be taken back; it names what
will prove that the change was made. Who goes on asks :mod:`pymaild.mail.committed`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Literal

#: "new": messages that a client sent; "taken": messages of another mailbox.
Messages = Literal["new", "taken"]

#: A note as it is read again: its kind, and what that says.
Intent = Sequence[Any]


class Intents:
    """The notes of one session, for the command under way.

    ``note`` keeps one, octets of JSON. ``past`` are those of processes that died of the same
    command, or in it; empty as soon as that is answered.
    """

    def __init__(self, note: Callable[[bytes], None], past: Iterable[Intent] = ()) -> None:
        self._note = note
        self.past: list[Intent] = list(past)

    def messages(
        self, kind: Messages, mailbox: str, uidvalidity: int, first: int, mark: str
    ) -> None:
        """Messages come into a mailbox, with UIDs from ``first`` on and ``mark`` in their names."""
        self._note(
            b'["%b",%b,%d,%d,%b]'
            % (kind.encode(), quoted(mailbox).encode(), uidvalidity, first, quoted(mark).encode())
        )

    def flags(self, mailbox: str, uidvalidity: int, failed: Iterable[int]) -> None:
        """Flags change under a condition that the messages of these UIDs have not met."""
        self._put("flags", mailbox, uidvalidity, list(failed))

    def create(self, name: str) -> None:
        """A mailbox is made; there was none of this name."""
        self._put("create", name)

    def delete(self, name: str, uidvalidity: int) -> None:
        """The mailbox of this name goes; 0 is a mailbox that never had a UIDVALIDITY."""
        self._put("delete", name, uidvalidity)

    def rename(self, old: str, new: str) -> None:
        """A mailbox and all below it get another name; there was none of the new names."""
        self._put("rename", old, new)

    def _put(self, *intent: Any) -> None:
        self._note(json.dumps(intent, separators=(",", ":")).encode())

    def of(self, kind: str, *about: Any) -> list[Intent]:
        """Return what remains to be said of past notes that begin with this."""
        head = [kind, *about]
        return [note[len(head) :] for note in self.past if list(note[: len(head)]) == head]
