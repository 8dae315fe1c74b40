"""The access control list of a mailbox, in a small file in its directory.

``pymaild.acl`` has a line for each identifier: the identifier, a tab, the letters. A mailbox
without the file is its owner's alone. A file that makes no sense grants nothing.
"""

from __future__ import annotations

import os

from pymaild.core.errors import Code, Refused
from pymaild.mail.rights import ALL, Acl, Actor, Rights, complete, effective
from pymaild.storage import atomic

NAME = "pymaild.acl"
HEADER = "pymaild acl 1"
MOST_ENTRIES = 1000
_LONGEST = 1 << 20  # octets of the file

Stamp = tuple[int, int, int]


def load(directory: str) -> Acl | None:
    """Read the list of a mailbox; None where none was made. Raises OSError."""
    try:
        with open(os.path.join(directory, NAME), "rb") as file:
            data = file.read(_LONGEST)
    except FileNotFoundError:
        return None
    header, *lines = data.decode("utf-8", "replace").split("\n")
    if header != HEADER:
        return {}
    pairs = (line.partition("\t") for line in lines)
    return {name: frozenset(letters) & ALL for name, tab, letters in pairs if tab}


def save(directory: str, acl: Acl, durable: bool = True) -> None:
    """Replace the list of a mailbox. Raises OSError, and Refused (LIMIT)."""
    if len(acl) > MOST_ENTRIES:
        raise Refused(Code.LIMIT, "This mailbox has no room for another identifier")
    lines = [f"{name}\t{''.join(sorted(rights))}\n" for name, rights in acl.items()]
    data = f"{HEADER}\n{''.join(lines)}".encode()
    atomic.replace(os.path.join(directory, NAME), data, durable)


class Access:
    """What one user may do in one mailbox; the list is read again when it has changed."""

    def __init__(self, directory: str, owner: str, actor: Actor) -> None:
        self.directory = directory
        self.owner = owner
        self.actor = actor
        self._path = os.path.join(directory, NAME)
        self._read: tuple[Stamp | None, Rights] | None = None

    @property
    def own(self) -> bool:
        """Whether the mailbox is the user's own."""
        return self.actor.name == self.owner

    def rights(self) -> Rights:
        """Return the rights as they are now. Raises OSError."""
        stamp = self._stamp()
        if self._read is None or self._read[0] != stamp:
            acl = load(self.directory) if stamp else None
            self._read = stamp, effective(acl, self.actor, self.owner)
        return self._read[1]

    def _stamp(self) -> Stamp | None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def acl(self) -> Acl:
        """Return the list, the one that holds without a file included. Raises OSError."""
        return complete(load(self.directory), self.owner)
