"""What a dead process was about to do to an mbox: the journal beside the mailbox's index.

The file holds a head, then what the kind of work needs. A head that counts is on disk before the
mbox is touched; whoever locks the mbox next finds it and ends the work first.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass

from pymaild.storage import atomic
from pymaild.storage.retry import patiently

NAME = "pymaild.mbox-journal"
HEAD_SIZE = 64
APPEND, REWRITE = 1, 2
_MAGIC = b"pmmbox1\n"
_HEAD = struct.Struct("<8sIQQqqqI")  # magic, kind, device, inode, end, new end, body, its check
_KEPT = 1 << 16  # octets that the file may keep when there is nothing to do


@dataclass(frozen=True, slots=True)
class Work:
    """``end``: the mbox's size before; ``new_end``: what it will be; ``body``: octets behind the
    head that say the rest, ``check`` their CRC-32."""

    kind: int
    device: int
    inode: int
    end: int
    new_end: int
    body: int
    check: int

    def fits(self, found: os.stat_result) -> bool:
        """Say whether this is the file that the work was begun on."""
        return (self.device, self.inode) == (found.st_dev, found.st_ino)


class Journal:
    """The journal of one mbox. Raises OSError. Used under the mbox's write lock."""

    def __init__(self, directory: str, durable: bool = True) -> None:
        self.path = os.path.join(directory, NAME)
        self._durable = durable
        self.fd = -1

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def successor(self) -> Journal:
        """Return a journal that takes this one's place as soon as its work counts."""
        self.close()
        return _Successor(os.path.dirname(self.path), self._durable)

    def _open(self) -> None:
        if self.fd >= 0:
            return
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            self.fd = patiently(os.open, self.path, flags)
        except FileNotFoundError:
            self.fd = patiently(os.open, self.path, flags | os.O_CREAT, 0o600)
            if self._durable:
                atomic.sync_directory(os.path.dirname(self.path))

    def pending(self) -> Work | None:
        """Return the work that was begun and not ended."""
        if self.fd < 0:
            try:
                self.fd = patiently(os.open, self.path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
        data = os.pread(self.fd, HEAD_SIZE, 0)
        if len(data) < HEAD_SIZE or not data.startswith(_MAGIC):
            return None
        (check,) = struct.unpack_from("<I", data, HEAD_SIZE - 4)
        if zlib.crc32(data[:-4]) != check:
            return None
        work = Work(*_HEAD.unpack_from(data)[1:])
        return work if self._check(work.body) == work.check else None

    def _check(self, length: int) -> int:
        check, place = 0, HEAD_SIZE
        while place < HEAD_SIZE + length:
            piece = os.pread(self.fd, min(1 << 20, HEAD_SIZE + length - place), place)
            if not piece:
                return -1
            check, place = zlib.crc32(piece, check), place + len(piece)
        return check

    def read(self, length: int, offset: int) -> bytes:
        """Return octets from behind the head."""
        return os.pread(self.fd, length, HEAD_SIZE + offset)

    def write(self, data: bytes, offset: int) -> None:
        """Write octets behind the head."""
        self._open()
        if data:
            atomic.write_at(self.fd, self.path, data, HEAD_SIZE + offset)

    def begin(self, work: Work) -> None:
        """Write the head; the work counts when that is synced."""
        self._open()
        head = _HEAD.pack(_MAGIC, *(getattr(work, name) for name in Work.__slots__))
        head = head.ljust(HEAD_SIZE - 4, b"\0")
        head += struct.pack("<I", zlib.crc32(head))
        atomic.write_at(self.fd, self.path, head, 0)

    def sync(self) -> None:
        """Put on disk what was written."""
        if self._durable:
            atomic.sync_file(self.fd, self.path)

    def end(self, sync: bool) -> None:
        """Say that there is nothing to do; ``sync`` where doing it again would do harm."""
        self._open()
        atomic.write_at(self.fd, self.path, bytes(HEAD_SIZE), 0)
        if sync:
            self.sync()
        if os.fstat(self.fd).st_size > _KEPT:
            atomic.truncate(self.fd, self.path, HEAD_SIZE)

    def set_aside(self) -> None:
        """Keep a journal that fits the mbox no more: it may hold octets that are nowhere else."""
        self.close()
        atomic.rename(self.path, f"{self.path}.{int(os.stat(self.path).st_mtime)}.unfit")


class _Successor(Journal):
    def __init__(self, directory: str, durable: bool) -> None:
        super().__init__(directory, durable)
        self._final, self.path = self.path, f"{self.path}.new"
        atomic.unlink(self.path)

    def sync(self) -> None:
        super().sync()
        if self.path != self._final:
            atomic.rename(self.path, self._final)
            self.path = self._final
            if self._durable:
                atomic.sync_directory(os.path.dirname(self.path))
