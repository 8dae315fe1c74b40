"""Annotations of mailboxes and of the server (RFC 5464).

An entry is a path of small letters below ``/shared`` or ``/private``; its value is octets. The
entries of a mailbox stand in one file in its directory, so they go where it goes; those that
belong to a user and to no mailbox stand in the user's Maildir. Private entries are kept apart
by the user they belong to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pymaild.core.errors import Code, Refused
from pymaild.mail.guard import refusing
from pymaild.mail.settings import MailSettings
from pymaild.storage import atomic
from pymaild.storage.locks import FileLock

NAME = "pymaild.metadata"  # in a mailbox's directory
OF_ACCOUNT = "pymaild.account-metadata"  # in the Maildir
SHARED, PRIVATE = "/shared", "/private"
LONGEST = 1024  # octets of an entry's name

Entries = dict[str, bytes]
Stored = dict[str, Entries]  # by owner; "" for what is shared
Changes = Mapping[str, bytes | None]
Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Computed:
    """An entry that stands elsewhere: ``check`` refuses a value, ``write`` takes one."""

    read: Callable[[], bytes]
    check: Callable[[bytes], object]
    write: Callable[[bytes], None]


@dataclass(slots=True)
class Annotations:
    """What one user sees of the annotations in one file. ``computed``: entries without one."""

    path: str
    user: str
    lock: FileLock
    settings: MailSettings
    computed: dict[str, Computed] = field(default_factory=dict)
    shared: bool = True  # whether clients may set shared entries
    note: Callable[[Iterable[str]], object] = lambda entries: None  # told which have changed

    @refusing
    def all(self) -> Entries:
        """Return the entries that have a value, sorted by name. Raises StorageFailure."""
        stored = load(self.path)
        found = stored.get("", {}) | stored.get(self.user, {})
        found |= {entry: value for entry, c in self.computed.items() if (value := c.read())}
        return dict(sorted(found.items()))

    def below(self, prefix: str) -> Entries:
        """Return the entries below a path, by what follows its "/"."""
        start = prefix + "/"
        return {
            entry.removeprefix(start): value
            for entry, value in self.all().items()
            if entry.startswith(start)
        }

    def stamp(self) -> Stamp:
        """Return what is another value after each change of the file."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_ino)

    @refusing
    def change(self, changes: Changes) -> None:
        """Set entries, all or none; None takes one away. Raises Refused (RFC 5464 §4.3)."""
        with self.lock:
            before = load(self.path)
            after = self._changed(before, changes)
            for entry in changes.keys() & self.computed.keys():
                self.computed[entry].check(changes[entry] or b"")
            self._save(before, after)
            try:
                for entry in changes.keys() & self.computed.keys():
                    self.computed[entry].write(changes[entry] or b"")
            except OSError:
                self._save(after, before)
                raise
            self.note([e for e in changes if e in self.computed or self._differs(e, before, after)])

    def _differs(self, entry: str, before: Stored, after: Stored) -> bool:
        owner = self._owner(entry)
        return before.get(owner, {}).get(entry) != after.get(owner, {}).get(entry)

    def _owner(self, entry: str) -> str:
        return self.user if entry.startswith(PRIVATE) else ""

    def copy(self, source: Annotations) -> None:
        """Take over all that stands in another file; the caller has the lock."""
        self._save(load(self.path), load(source.path))

    def _changed(self, before: Stored, changes: Changes) -> Stored:
        after = {owner: dict(entries) for owner, entries in before.items()}
        for entry, value in changes.items():
            if entry in self.computed:
                continue
            self._check(entry, value)
            entries = after.setdefault(self._owner(entry), {})
            entries.pop(entry, None)
            if value is not None:
                entries[entry] = value
        for owner, entries in after.items():
            most = max(self.settings.metadata_entries, len(before.get(owner, {})))
            if len(entries) > most:
                raise Refused(Code.METADATA_TOOMANY, "There are too many annotations here")
        return {owner: entries for owner, entries in after.items() if entries}

    def _check(self, entry: str, value: bytes | None) -> None:
        if entry.startswith(SHARED) and not self.shared:
            raise Refused(Code.NOPERM, "You may not set what is shared here")
        if len(entry) > LONGEST:
            raise Refused(Code.LIMIT, "This name is too long")
        if value is not None and len(value) > self.settings.metadata_size:
            raise TooLarge(self.settings.metadata_size)

    def _save(self, before: Stored, after: Stored) -> None:
        if after == before:
            return
        if not after:
            atomic.unlink(self.path)
            return
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        atomic.replace(self.path, encode(after), self.settings.fsync)


class TooLarge(Refused):
    """A value has more octets than ``most``."""

    def __init__(self, most: int) -> None:
        super().__init__(Code.METADATA_MAXSIZE, "This value is too large")
        self.argument = str(most)


def load(path: str) -> Stored:
    """Read a file of annotations; empty when there is none or it makes no sense."""
    try:
        with open(path, encoding="ascii") as file:
            stored = json.load(file)
        return {
            owner: {entry: value.encode("utf-8", "surrogateescape") for entry, value in its.items()}
            for owner, its in stored.items()
        }
    except (FileNotFoundError, NotADirectoryError, ValueError, AttributeError):
        return {}


def encode(stored: Stored) -> bytes:
    """Return the file's text: values are UTF-8, where they are not, lone surrogates."""
    plain = {
        owner: {entry: value.decode("utf-8", "surrogateescape") for entry, value in its.items()}
        for owner, its in stored.items()
    }
    return json.dumps(plain, indent=1).encode("ascii") + b"\n"
