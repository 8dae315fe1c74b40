"""How much each mailbox of an account holds: one small file that all processes map.

``pymaild.usage`` lies in the Maildir: a head, and a row for each mailbox with its messages and
octets as its index counts them. A row is written by whoever holds the mailbox's lock, so nothing
is added up that could drift. A row is odd while its mailbox changes: one that stays so under a
free lock was left by a process that died, and is written anew. Without the file, after a restart
of the machine, or when it was never finished, all rows are written anew.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import NamedTuple

from pymaild.storage._watch import stamp

NAME = "pymaild.usage"

# The sizes of numbers are the machine's, so that each is stored by one instruction.
_HEAD = struct.Struct("@8s16sQQ")  # magic, kernel's boot id, room in rows, 1 when complete
_ROW = struct.Struct("@16sQQQ")  # key, odd while it changes, messages, octets
_COUNTS = struct.Struct("@QQ")
_WORD = struct.Struct("@Q")
_MAGIC = b"PMUSAGE1"
_START = 64  # octets of the head
_ROOM = 24  # where the room stands there
_GROWTH = 64  # rows
_FREE = bytes(16)


def _boot_id() -> bytes:
    """Return octets that differ after each start of the kernel."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return bytes.fromhex(file.read().strip().replace("-", ""))


_BOOT = _boot_id()

Key = bytes


class Total(NamedTuple):
    """``changing``: keys of rows that are odd."""

    messages: int
    octets: int
    changing: list[Key]


def key(directory: str) -> Key:
    """Return the key of a mailbox: ``directory`` is its name in the Maildir, "" for INBOX."""
    return blake2b(os.fsencode(directory), digest_size=16).digest()


class Usage:
    """The usage file of one Maildir; mapped when there is one."""

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, NAME)
        self._octets = os.fsencode(self._path)
        self._fd = -1
        self._map: mmap.mmap | None = None
        self._inode = -1
        self._rows: dict[Key, int] = {}  # offsets, as last seen

    def close(self) -> None:
        """Release the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._map, self._inode = -1, None, -1
        self._rows.clear()

    def __del__(self) -> None:
        self.close()

    def used(self) -> mmap.mmap | None:
        """Return the file as it is now, None where there is none. Raises OSError."""
        found = stamp(self._octets)
        if found is None:
            self.close()
            return None
        if found[1] != self._inode:
            self._open()
        elif self._map is None or len(self._map) != found[2]:
            self._remap()
        return self._map

    def _open(self) -> None:
        self.close()
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._remap()

    def _remap(self) -> None:
        status = os.fstat(self._fd)
        if status.st_size < _START:
            self.close()
            return
        self._map = mmap.mmap(self._fd, status.st_size)
        self._inode = status.st_ino

    # -- one mailbox ---------------------------------------------------------------------------

    def begin(self, mailbox: Key) -> None:
        """Note that a mailbox is about to change; the caller holds its lock."""
        held = self.used()
        place = -1 if held is None else self._find(held, mailbox)
        if held is not None and place >= 0:
            _WORD.pack_into(held, place + 16, 1)

    def put(self, mailbox: Key, messages: int, octets: int) -> None:
        """Write what a mailbox holds; the caller holds its lock. Raises OSError."""
        held = self.used()
        if held is None:
            return
        place = self._find(held, mailbox)
        if place < 0:
            held, place = self._add(mailbox)
        _COUNTS.pack_into(held, place + 24, messages, octets)
        _WORD.pack_into(held, place + 16, 0)

    def _find(self, held: mmap.mmap, mailbox: Key) -> int:
        place = self._rows.get(mailbox, -1)
        if place >= 0 and held[place : place + 16] == mailbox:
            return place
        self._rows = {row[0]: place for place, row in _rows(held)}
        return self._rows.get(mailbox, -1)

    def _add(self, mailbox: Key) -> tuple[mmap.mmap, int]:
        with self._exclusive():
            held = self.used()
            assert held is not None
            place = self._find(held, mailbox)
            if place >= 0:
                return held, place
            if _FREE not in self._rows:
                held = self._grow(held)
            place = self._rows[_FREE]
            held[place : place + 16] = mailbox
            return held, place

    def _grow(self, held: mmap.mmap) -> mmap.mmap:
        os.posix_fallocate(self._fd, len(held), _GROWTH * _ROW.size)  # no SIGBUS on a full disk
        self._remap()
        grown = self._map
        assert grown is not None
        _WORD.pack_into(grown, _ROOM, _room(grown))
        self._rows = {row[0]: place for place, row in _rows(grown)}
        return grown

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    # -- all mailboxes -------------------------------------------------------------------------

    def total(self) -> Total | None:
        """Return the sum of all rows; None where it is not known and must be counted."""
        held = self.used()
        if held is None or not self.complete(held):
            return None
        messages = octets = 0
        changing = []
        for _, (mailbox, odd, number, size) in _rows(held):
            if mailbox != _FREE:
                messages += number
                octets += size
                if odd:
                    changing.append(mailbox)
        return Total(messages, octets, changing)

    @staticmethod
    def complete(held: mmap.mmap) -> bool:
        """Say whether all mailboxes have their row, written since the machine was started."""
        return bool(_HEAD.unpack_from(held) == (_MAGIC, _BOOT, _room(held), 1))

    def prepare(self) -> None:
        """Have a file, whatever it says, before all rows are written anew. Raises OSError."""
        held = self.used()
        if held is None or _HEAD.unpack_from(held)[::2] != (_MAGIC, _room(held)):
            temporary = f"{self._path}.{os.getpid()}.tmp"
            with open(temporary, "wb") as file:
                file.write(_HEAD.pack(_MAGIC, _BOOT, _GROWTH, 0).ljust(_START, b"\0"))
                file.write(bytes(_GROWTH * _ROW.size))
            os.rename(temporary, self._path)

    def finish(self, mailboxes: Iterable[Key]) -> None:
        """Say that these are all mailboxes, and that each has its row."""
        held = self.used()
        if held is None:
            return
        known = {_FREE, *mailboxes}
        for place, row in _rows(held):
            if row[0] not in known:
                _clear(held, place)
        _HEAD.pack_into(held, 0, _MAGIC, _BOOT, _room(held), 1)

    def drop(self, mailbox: Key) -> None:
        """Forget a mailbox that is gone."""
        held = self.used()
        place = -1 if held is None else self._find(held, mailbox)
        if held is not None and place >= 0:
            _clear(held, place)

    def rename(self, old: Key, new: Key) -> None:
        """Give a mailbox's row to its new name."""
        held = self.used()
        place = -1 if held is None else self._find(held, old)
        if held is not None and place >= 0:
            held[place : place + 16] = new


def _room(held: mmap.mmap) -> int:
    return (len(held) - _START) // _ROW.size


def _rows(held: mmap.mmap) -> Iterator[tuple[int, tuple[Key, int, int, int]]]:
    octets = held[_START : _START + _room(held) * _ROW.size]
    for number, row in enumerate(_ROW.iter_unpack(octets)):
        yield _START + number * _ROW.size, row


def _clear(held: mmap.mmap, place: int) -> None:
    held[place : place + _ROW.size] = bytes(_ROW.size)
