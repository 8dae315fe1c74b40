"""The tree of an account in mbox: INBOX is one file, and each file below a directory is a folder.

What pymaild keeps of them lies in a tree of its own, in ``.pymaild.lock`` of that directory: one
directory for each mailbox, called as a Maildir++ folder is. Dovecot takes every other name for
mail, waits for the locks that it sees in there, and writes to empty files. A file cannot have
others below it, so a mailbox has no children; directories only stand above others.
"""

from __future__ import annotations

import os
import shutil
import stat
import unicodedata
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.mail.stores.mbox import MboxStore
from pymaild.mail.tree import INBOX, Names
from pymaild.mime import utf7
from pymaild.storage import atomic
from pymaild.storage.mboxlocks import LockRules

OWN = ".pymaild.lock"  # what ends so is nobody's mailbox
DEEPEST = 32  # levels of directories that are looked through
_LONGEST = 255  # octets of a file's name


class MboxTree:
    """The mbox ``inbox``, and those below ``folders``."""

    def __init__(
        self, inbox: str, folders: str, names: Names, rules: LockRules, durable: bool
    ) -> None:
        self.root = os.path.join(folders, OWN)
        self._inbox, self._folders = inbox, folders
        self._names, self._rules, self._durable = names, rules, durable
        self._directories = [folders]

    def prepare(self) -> None:
        """Make the directories and INBOX."""
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        self.store(self.root).exists()

    def directory(self, name: str) -> str:
        """Return where what belongs to a mailbox lies."""
        directory = os.path.join(self.root, self._names.directory(name))
        self._path(directory)
        return directory

    def store(self, directory: str) -> MboxStore:
        """Return the mail of a mailbox."""
        path, lasting = self._path(directory), directory.rstrip("/") == self.root
        return MboxStore(path, directory.rstrip("/"), self._rules, self._durable, lasting)

    def _path(self, directory: str) -> str:
        """Return the file of a mailbox. Raises Refused (CANNOT)."""
        within = directory[len(self.root) :].strip("/")
        if not within:
            return self._inbox
        name = self._names.name(within)
        if name is None:
            raise NoSuchMailbox
        levels = name.removeprefix(self._names.prefix).split(self._names.separator)
        first = os.path.join(self._folders, *map(_encoded, levels))
        if name.isascii() or os.path.lexists(first):
            return first
        forms = [unicodedata.normalize(form, level) for form in ("NFC", "NFD") for level in levels]
        half = len(levels)
        others = (os.path.join(self._folders, *form) for form in (forms[:half], forms[half:]))
        return next(filter(os.path.lexists, others), first)

    # -- what there is -------------------------------------------------------------------------

    def survey(self) -> tuple[list[str], bool]:
        """Return the names of all files that are empty or begin as an mbox does."""
        found = [INBOX] if self.store(self.root).exists() else []
        self._directories = [self._folders]
        with suppress(FileNotFoundError):
            found += self._walk(self._folders, [])
        return found, True

    def leaves(self, names: Sequence[str]) -> Container[str]:
        """Return what is a file in the place of a directory: INBOX most often is elsewhere."""
        other = os.path.join(self._folders, INBOX) != self._inbox
        return set(names) - ({INBOX} if other else set())

    def _walk(self, directory: str, levels: list[str]) -> Iterator[str]:
        separator = self._names.separator
        for entry in os.scandir(directory):
            if entry.name.startswith(".") or entry.name.endswith(".lock"):
                continue
            below = [*levels, _decoded(os.fsencode(entry.name))]
            if entry.is_dir(follow_symlinks=False) and len(below) < DEEPEST:
                self._directories.append(entry.path)
                with suppress(PermissionError, FileNotFoundError):
                    yield from self._walk(entry.path, below)
            elif self._is_folder(entry) and not any(separator in level for level in below):
                yield self._names.prefix + separator.join(below)

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        try:
            found = entry.stat()
            own = os.path.realpath(entry.path) == os.path.realpath(self._inbox)
            if own or not stat.S_ISREG(found.st_mode):
                return False
            return not found.st_size or _begins(entry.path)
        except OSError:
            return False

    def stamp(self) -> int | None:
        """Return the latest mtime of all directories that were seen."""
        with suppress(FileNotFoundError):
            return max(os.stat(path).st_mtime_ns for path in [self.root, *self._directories])
        return None

    def paths(self) -> list[str]:
        """Return the directories that were seen."""
        return [self.root, *self._directories]

    # -- changing ------------------------------------------------------------------------------

    def create(self, directory: str) -> None:
        """Make an empty file. Raises Refused (CANNOT) where a file stands above it."""
        mbox = self.store(directory).mbox
        if mbox.exists():
            return
        if os.path.isdir(mbox.path):
            raise Refused(Code.CANNOT, "There are mailboxes below this name")
        shutil.rmtree(directory, ignore_errors=True)  # of a file that another program removed
        _below_directories(mbox.create)
        os.makedirs(directory, mode=0o700)

    def remove(self, directory: str) -> None:
        """Remove the file, then what is known of it, and directories that have become empty."""
        store = self.store(directory)
        with store.held():
            atomic.unlink(store.mbox.path)
        self._sync(os.path.dirname(store.mbox.path))
        shutil.rmtree(directory, ignore_errors=True)
        self._prune(os.path.dirname(store.mbox.path))

    def clear(self) -> None:
        """Remove what is known of mailboxes whose file has gone."""
        for entry in os.listdir(self.root):
            directory = os.path.join(self.root, entry)
            if self._names.name(entry) is not None and not self.store(directory).mbox.exists():
                shutil.rmtree(directory, ignore_errors=True)

    def rename(self, source: str, target: str) -> None:
        """Rename what is known of a mailbox, and its file.

        Of a process that died between the two, the file has still its old name.
        """
        old, new = self.store(source).mbox.path, self.store(target).mbox.path
        above = os.path.dirname(new)
        _below_directories(lambda: os.makedirs(above, mode=0o700, exist_ok=True))
        if os.path.isdir(source):
            shutil.rmtree(target, ignore_errors=True)
            atomic.rename(source, target)
        atomic.rename(old, new)
        for path in (old, new):
            self._sync(os.path.dirname(path))
        self._prune(os.path.dirname(old))

    def sync(self) -> None:
        """Put the names of directories on disk."""
        self._sync(self.root)

    def _sync(self, directory: str) -> None:
        if self._durable:
            atomic.sync_directory(directory)

    def _prune(self, directory: str) -> None:
        with suppress(OSError):
            while directory.startswith(f"{self._folders}/"):
                os.rmdir(directory)
                directory = os.path.dirname(directory)


def _below_directories(make: Callable[[], object]) -> None:
    """Make what must have no file above it. Raises Refused (CANNOT), OSError."""
    try:
        make()
    except (NotADirectoryError, FileExistsError):
        raise Refused(Code.CANNOT, "The mailbox above this one can have none below it") from None


def _begins(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(5) == b"From "


def _encoded(level: str) -> str:
    """Return the name of a level's file or directory: modified UTF-7, as Dovecot has it."""
    encoded = utf7.encode(level).replace(b"/", b"&AC8-")
    if encoded.startswith(b"."):
        encoded = b"&AC4-" + encoded[1:]
    if encoded.endswith(b".lock"):
        encoded = encoded[:-5] + b"&AC4-lock"
    if len(encoded) > _LONGEST:
        raise Refused(Code.CANNOT, "This name is too long")
    return encoded.decode("ascii")


def _decoded(level: bytes) -> str:
    level = level.replace(b"&AC4-", b".").replace(b"&AC8-", b"/")
    try:
        return utf7.decode(level)
    except ValueError:
        return level.decode("utf-8", "replace")
