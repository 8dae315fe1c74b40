"""The tree of an account in Maildir++: INBOX is a Maildir, and its folders lie in it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Container, Sequence
from contextlib import suppress

from pymaild.mail.stores.maildir import MaildirStore
from pymaild.mail.tree import INBOX, Names
from pymaild.storage import atomic
from pymaild.storage.maildir import Maildir

_GONE = "..pymaild-gone-"  # a deleted folder on its way out


class MaildirTree:
    """The mailboxes below one Maildir."""

    def __init__(self, root: str, names: Names, durable: bool) -> None:
        self.root = root
        self._names = names
        self._durable = durable

    def prepare(self) -> None:
        """Make INBOX."""
        Maildir(self.root, self._durable).create(folder=False)

    def directory(self, name: str) -> str:
        """Return the directory of a mailbox, under whichever spelling it is there."""
        first = os.path.join(self.root, self._names.directory(name))
        if name.isascii() or os.path.isdir(first):
            return first
        others = (os.path.join(self.root, other) for other in self._names.spellings(name))
        return next(filter(os.path.isdir, others), first)

    def store(self, directory: str) -> MaildirStore:
        """Return the mail of a mailbox."""
        return MaildirStore(directory, self._durable)

    def survey(self) -> tuple[list[str], bool]:
        """Return all names; folders that have no cur/ yet may be on their way."""
        found, whole = [INBOX] if _is_mailbox(self.root) else [], True
        with suppress(FileNotFoundError):
            for entry in os.listdir(self.root):
                name = self._names.name(entry)
                if name is None:
                    continue
                if _is_mailbox(os.path.join(self.root, entry)):
                    found.append(name)
                else:
                    whole = False
        return found, whole

    def leaves(self, names: Sequence[str]) -> Container[str]:
        """There are none: a folder's name says all of where it is."""
        return ()

    def stamp(self) -> int | None:
        """Return the mtime of the Maildir's own directory, where folders come and go."""
        return os.stat(self.root).st_mtime_ns

    def paths(self) -> list[str]:
        """Return that directory."""
        return [self.root]

    def create(self, directory: str) -> None:
        """Make a Maildir++ folder."""
        Maildir(directory, self._durable).create(folder=True)

    def remove(self, directory: str) -> None:
        """Rename a folder out of the way, and remove it then."""
        atomic.rename(directory, os.path.join(self.root, _GONE + secrets.token_hex(8)))
        self.sync()
        self.clear()

    def clear(self) -> None:
        """Remove folders on their way out, those too whose deleter died."""
        for entry in os.listdir(self.root):
            if entry.startswith(_GONE):
                shutil.rmtree(os.path.join(self.root, entry), ignore_errors=True)

    def rename(self, source: str, target: str) -> None:
        """Rename a folder's directory."""
        atomic.rename(source, target)

    def sync(self) -> None:
        """Put the names of folders on disk."""
        if self._durable:
            atomic.sync_directory(self.root)


def _is_mailbox(directory: str) -> bool:
    return os.path.isdir(os.path.join(directory, "cur"))
