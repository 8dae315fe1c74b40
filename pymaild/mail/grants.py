"""Who has opened mailboxes to whom: an index, so that LIST need not ask all users.

A directory for each identifier, in it an empty file for each user who grants it something. It
only says where to look: the lists in the mailboxes decide, and it can be made anew from them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress

#: The name of the directory beside the users' mail. No user's name begins with a dot.
DIRECTORY = ".pymaild-grants"


class Grants:
    """The index below one directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def used(self) -> bool:
        """Say whether anybody has opened anything."""
        return os.path.isdir(self._directory)

    def owners(self, identifiers: Iterable[str]) -> set[str]:
        """Return the users who grant one of these identifiers something."""
        found: set[str] = set()
        for identifier in identifiers:
            with suppress(FileNotFoundError):
                found.update(os.listdir(os.path.join(self._directory, identifier)))
        return found

    def paths(self, identifiers: Iterable[str]) -> list[str]:
        """Return the directories of these identifiers, made where there are none yet."""
        found = [os.path.join(self._directory, identifier) for identifier in identifiers]
        for path in found:
            os.makedirs(path, mode=0o700, exist_ok=True)
        return [self._directory, *found]

    def level(self, owner: str, identifiers: Iterable[str], granted: set[str]) -> None:
        """Note which of ``identifiers`` the mail of ``owner`` is open to. Raises OSError."""
        for identifier in identifiers:
            if identifier in granted:
                self._add(identifier, owner)
            else:
                self._remove(identifier, owner)

    def _add(self, identifier: str, owner: str) -> None:
        folder = os.path.join(self._directory, identifier)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        try:
            _touch(os.path.join(folder, owner))
        except FileNotFoundError:  # another user's last grant has just gone, and the folder too
            os.makedirs(folder, mode=0o700, exist_ok=True)
            _touch(os.path.join(folder, owner))

    def _remove(self, identifier: str, owner: str) -> None:
        folder = os.path.join(self._directory, identifier)
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, owner))
        with suppress(OSError):  # as long as others grant something it is not empty
            os.rmdir(folder)

    def rebuild(self, granted: Iterable[tuple[str, set[str]]]) -> None:
        """Make the index anew from pairs of a user and the identifiers granted something."""
        fresh = Grants(f"{self._directory}.{os.getpid()}.tmp")
        shutil.rmtree(fresh._directory, ignore_errors=True)
        os.makedirs(fresh._directory, mode=0o700)
        for owner, identifiers in granted:
            fresh.level(owner, identifiers, identifiers)
        old = f"{fresh._directory}.old"
        with suppress(FileNotFoundError):
            os.rename(self._directory, old)
        os.rename(fresh._directory, self._directory)
        shutil.rmtree(old, ignore_errors=True)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
