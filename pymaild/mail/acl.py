"""The access control list of a mailbox, in a small file in its directory.

``pymaild.acl`` has a line for each identifier: the identifier, a tab, the letters. A mailbox
without the file is its owner's alone. A file that makes no sense grants nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.mail.rights import (
    ALL,
    KNOWING,
    NONE,
    Acl,
    Actor,
    Rights,
    changed,
    complete,
    effective,
    kept,
    require,
    without_list,
)
from pymaild.storage import atomic
from pymaild.storage._watch import stamp
from pymaild.storage.locks import FileLock

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
        self._path = os.fsencode(f"{directory}/{NAME}")
        self._read: tuple[Stamp | None, Rights] | None = None  # None: there is no list
        self.held: Rights = NONE  # as they were when last looked at

    @property
    def own(self) -> bool:
        """Whether the mailbox is the user's own."""
        return self.actor.name == self.owner

    def rights(self) -> Rights:
        """Return the rights as they are now. Raises OSError."""
        found = stamp(self._path)
        if self._read is None or self._read[0] != found:
            self.held = self._rights(found)
            self._read = found, self.held
        return self.held

    def admit(self, rights: str) -> None:
        """Raise NoSuchMailbox where the user may not know of the mailbox (RFC 4314 §6), Refused
        (NOPERM) where one of these rights is missing. Raises OSError."""
        held = self.rights()
        if not held or ("l" not in held and not held.issuperset(rights)):
            raise NoSuchMailbox
        require(held, rights)

    def _rights(self, found: Stamp | None) -> Rights:
        if found is None:
            return without_list(self.actor, self.owner)
        return effective(load(self.directory), self.actor, self.owner)


class Guard:
    """What ``actor`` may do in the mailboxes of ``owner``; None is the administrator."""

    def __init__(self, owner: str, actor: Actor | None, durable: bool) -> None:
        self.owner = owner
        self.actor = actor
        self._durable = durable

    @property
    def own(self) -> bool:
        """Whether the account is the user's own, or the administrator's to change."""
        return self.actor is None or self.actor.name == self.owner

    def rights(self, directory: str) -> Rights:
        """Return the rights on one mailbox. Raises OSError."""
        return ALL if self.actor is None else Access(directory, self.owner, self.actor).rights()

    def admit(self, directory: str, rights: str) -> Access | None:
        """Check rights on a mailbox; returns None to the administrator.

        Raises NoSuchMailbox where the user may not know of it (RFC 4314 §6), Refused (NOPERM).
        """
        if self.actor is None:
            return None
        access = Access(directory, self.owner, self.actor)
        access.admit(rights)
        return access

    def visible(self, directory: str) -> bool:
        """Say whether the user may be told of a mailbox (RFC 4314 §4, LIST)."""
        return self.own or "l" in self.rights(directory)

    def inherit(self, parent: str, child: str) -> None:
        """Give a new mailbox the list of the one above it (RFC 4314 §4, CREATE)."""
        acl = load(parent)
        if acl is not None:
            save(child, acl, self._durable)

    def save(self, directory: str, acl: Acl) -> None:
        """Replace the list of a mailbox. Raises OSError, and Refused (LIMIT)."""
        save(directory, acl, self._durable)


class Controlled:
    """The access control list of one mailbox, to be read and changed.

    ``note`` is told identifiers whose rights have changed, while the account is locked.
    """

    def __init__(
        self, directory: str, guard: Guard, lock: FileLock, note: Callable[[Iterable[str]], None]
    ) -> None:
        self._directory = directory
        self._guard = guard
        self._lock = lock
        self._note = note

    def rights(self) -> Rights:
        """Return the user's own rights (RFC 4314 §3.5). Raises NoSuchMailbox where hidden."""
        held = self._guard.rights(self._directory)
        if not held & KNOWING:
            raise NoSuchMailbox
        return held

    def acl(self) -> Acl:
        """Return the list (RFC 4314 §3.3), the one that holds without a file included."""
        self._guard.admit(self._directory, "a")
        return complete(load(self._directory), self._guard.owner)

    def kept(self, identifier: str, admins: Iterable[str]) -> Rights:
        """Return what an identifier always has here (RFC 4314 §3.4)."""
        self._guard.admit(self._directory, "a")
        return kept(identifier, self._guard.owner, identifier in admins)

    def change(self, identifier: str, how: str, given: Rights) -> None:
        """Change what one identifier has (RFC 4314 §3.1): ``how`` is "+", "-" or ""."""
        with self._lock:
            acl = changed(self.acl(), identifier, how, given)
            self._guard.save(self._directory, acl)
            self._note([identifier])
