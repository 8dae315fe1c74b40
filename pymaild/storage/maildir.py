"""One Maildir folder on disk: names, listing, and the moves of a message's file.

Format: cr.yp.to's Maildir with Maildir++ folders. Delivery and changes by others are legal at
any time, so no name is taken for granted: a file that is not where it was is looked for.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from pymaild.storage import atomic
from pymaild.storage._names import info, parse, with_uid
from pymaild.storage._watch import stamps
from pymaild.storage.retry import patiently

DIRECTORIES = ("tmp", "new", "cur")
STALE_TMP = 36 * 3600.0  # seconds after which a file in tmp/ is nobody's (Maildir specification)

_host = socket.gethostname().replace("/", "\\057").replace(":", "\\072") or "localhost"
_counter = itertools.count()


def unique_mark() -> str:
    """Return what no other delivery on this host begins its names with."""
    now = time.time_ns()
    seconds, micros = now // 10**9, now // 1000 % 10**6
    return f"{seconds}.M{micros}P{os.getpid()}Q{next(_counter)}"


def unique_name(mark: str = "", number: int = 0) -> str:
    """Return a base name that no other delivery on any host makes.

    With a mark, that of one of the messages that come together; :func:`member` knows them.
    """
    return f"{mark}C{number}.{_host}" if mark else f"{unique_mark()}.{_host}"


def member(name: bytes, mark: str) -> int:
    """Return the number that a file has among those of a mark, -1 where it is none of them.

    The name that was made for one message alone is its mark as well: its number is 0.
    """
    unique = os.fsdecode(name).partition(",")[0]
    if unique == mark:
        return 0
    digits = unique[len(mark) + 1 :].partition(".")[0] if unique.startswith(mark + "C") else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else -1


@dataclass(slots=True)
class Draft:
    """A message on disk in tmp/, not yet in the mailbox. Sizes in octets."""

    path: str
    size: int
    wire_size: int

    @property
    def name(self) -> str:
        """The unique name that it was given."""
        return os.path.basename(self.path)

    def discard(self) -> None:
        """Remove it; a draft that was committed is no longer there."""
        atomic.unlink(self.path)


_CRLF = re.compile(rb"(?<!\r)\r\n")


class LineEnds:
    """Turns CRLF into LF piece by piece and counts the octets that the wire form has more.

    Behind another CR a CRLF stays as it is: CR LF would be taken for a line end when it is read.
    """

    def __init__(self) -> None:
        self.lines = 0

    def convert(self, pieces: Iterable[bytes]) -> Iterable[bytes]:
        held = b""
        for piece in pieces:
            data = held + piece if held else piece
            held = b"\r\r" if data.endswith(b"\r\r") else b"\r" if data.endswith(b"\r") else b""
            data = data[: len(data) - len(held)]
            if b"\r\r\n" in data:
                data = _CRLF.sub(b"\n", data)
                self.lines -= data.count(b"\r\n")
            else:
                data = data.replace(b"\r\n", b"\n")
            self.lines += data.count(b"\n")
            yield data
        if held:
            yield held


class Maildir:
    """The directory of one mailbox."""

    def __init__(self, path: str, durable: bool = True) -> None:
        self.path = path
        self.durable = durable
        self.new = os.path.join(path, "new")
        self.cur = os.path.join(path, "cur")
        self.paths = [self.new, self.cur, path]  # where what others do shows
        self._octets = (os.fsencode(self.new), os.fsencode(self.cur))
        self._found: tuple[tuple[int, int], dict[bytes, str]] | None = None

    def create(self, folder: bool) -> None:
        """Make the directories; ``folder`` marks a new Maildir++ folder below an INBOX.

        A folder that cannot be made whole is not there at all. Raises OSError.
        """
        try:
            for name in DIRECTORIES:
                os.makedirs(os.path.join(self.path, name), mode=0o700, exist_ok=True)
            if folder:
                with open(os.path.join(self.path, "maildirfolder"), "ab"):
                    pass
            if self.durable:
                atomic.sync_directory(self.path)
                atomic.sync_directory(os.path.dirname(self.path))
        except OSError:
            if folder:
                self._unmake()
            raise

    def _unmake(self) -> None:
        """Remove the folder if it is empty; cur/ first, without which it is none."""
        with suppress(OSError):
            os.rmdir(self.cur)
            os.rmdir(self.new)
        with suppress(OSError):
            os.rmdir(os.path.join(self.path, "tmp"))
            atomic.unlink(os.path.join(self.path, "maildirfolder"))
        with suppress(OSError):
            os.rmdir(self.path)

    def exists(self) -> bool:
        """Say whether this is a mailbox: cur/ tells (Maildir++)."""
        return os.path.isdir(self.cur)

    def stamp(self) -> tuple[int, int]:
        """Return the mtimes of new/ and cur/ in nanoseconds. Raises FileNotFoundError."""
        return stamps(*self._octets)

    def listing(self) -> list[tuple[bool, bytes]]:
        """Return (in new/?, file name) of every message file."""
        files = [(True, name) for name in os.listdir(os.fsencode(self.new))]
        files += [(False, name) for name in os.listdir(os.fsencode(self.cur))]
        return [entry for entry in files if not entry[1].startswith(b".")]

    def write(self, pieces: Iterable[bytes], name: str = "") -> Draft:
        """Write a message to tmp/ with LF line ends. Raises OSError.

        It is durable with its name: :meth:`sync` the directory that it was published in.
        """
        path = os.path.join(self.path, "tmp", name or unique_name())
        ends = LineEnds()
        size = atomic.write_new(path, ends.convert(pieces), self.durable, named_later=True)
        return Draft(path, size, size + ends.lines)

    def publish(
        self, draft: Draft, name: str, uid: int, flags: int, keywords: int, new: bool
    ) -> bytes:
        """Give a draft its place in new/ or cur/ under a unique name; returns the base name."""
        base = f"{name},S={draft.size},W={draft.wire_size},U={uid}"
        atomic.rename(draft.path, self._path(base.encode(), new, flags, keywords))
        return base.encode()

    def sync(self, *directories: str) -> None:
        """Put directory entries on disk."""
        if self.durable:
            for directory in directories:
                atomic.sync_directory(directory)

    def _path(self, base: bytes, new: bool, flags: int, keywords: int) -> str:
        name = base if new else base + info(flags, keywords)
        return os.path.join(self.new if new else self.cur, os.fsdecode(name))

    def locate(self, base: bytes, new: bool, flags: int, keywords: int) -> str | None:
        """Return the path of a message: where it should be, or where others moved it."""
        path = self._path(base, new, flags, keywords)
        if os.path.lexists(path):
            return path
        return self._search(base)

    def in_new(self, base: bytes) -> bool:
        """Say whether a message's file lies in new/, and nobody has moved it."""
        return os.path.lexists(self._path(base, True, 0, 0))

    def open(self, base: bytes, new: bool, flags: int, keywords: int) -> int | None:
        """Open a message's file for reading; None when it is gone."""
        try:
            known = self._path(base, new, flags, keywords)
            return patiently(os.open, known, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            path = self._search(base)
        try:
            return patiently(os.open, path, os.O_RDONLY | os.O_CLOEXEC) if path else None
        except FileNotFoundError:
            return None

    def _search(self, base: bytes) -> str | None:
        stamp = self.stamp()
        if self._found is None or self._found[0] != stamp:
            found = {}
            for new, name in self.listing():
                directory = self.new if new else self.cur
                found[parse(name)[0]] = os.path.join(directory, os.fsdecode(name))
            self._found = (stamp, found)
        return self._found[1].get(base)

    def set_flags(self, path: str, base: bytes, flags: int, keywords: int) -> None:
        """Rename a message's file to say these flags; letters unknown to us are kept."""
        letters = os.fsencode(os.path.basename(path))[len(base) :].partition(b":2,")[2]
        known = set(b"DFRST") | set(range(97, 123))
        name = base + info(flags, keywords)
        strange = bytes(letter for letter in letters if letter not in known)
        if strange:
            name = base + b":2," + bytes(sorted(name[len(base) + 3 :] + strange))
        target = os.path.join(self.cur, os.fsdecode(name))
        if target != path:
            atomic.rename(path, target)

    def name_with_uid(self, path: str, base: bytes, uid: int) -> tuple[bytes, str]:
        """Rename a file in its directory so that its name says the UID: (base, path)."""
        directory, _, old = path.rpartition("/")
        named = with_uid(base, uid)
        suffix = os.fsencode(old)[len(base) :]
        target = f"{directory}/{os.fsdecode(named + suffix)}"
        if target != path:
            atomic.rename(path, target)
        return named, target

    def adopt(
        self, path: str, base: bytes, name: str, uid: int, flags: int, keywords: int, move: bool
    ) -> bytes:
        """Bring another folder's file in under a unique name, by rename or as a second name.

        Returns the base name.
        """
        named = with_uid(f"{name}{_sizes(base)}".encode(), uid)
        target = os.path.join(self.cur, os.fsdecode(named + info(flags, keywords)))
        (atomic.rename if move else atomic.link)(path, target)
        return named

    def sweep(self, now: float) -> None:
        """Remove what died in tmp/ long ago (Maildir specification: 36 hours)."""
        directory = os.path.join(self.path, "tmp")
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            try:
                if now - os.stat(path).st_mtime > STALE_TMP:
                    atomic.unlink(path)
            except (FileNotFoundError, IsADirectoryError):
                continue


def _sizes(base: bytes) -> str:
    fields = base.decode("ascii", "replace").split(",")[1:]
    return "".join(f",{field}" for field in fields if field[:2] in ("S=", "W="))


def arrival(base: bytes) -> tuple[int, bytes]:
    """Return a sort key by which older deliveries come first."""
    seconds = base.split(b".", 1)[0]
    return (int(seconds) if seconds.isdigit() and len(seconds) < 19 else 1 << 62, base)


def save_date(base: bytes, otherwise: float) -> int:
    """Return when a file came into its folder (RFC 8514 §3), in seconds since 1970.

    Its name tells it, which flags and a lost index do not change; ``otherwise`` stands for a
    name that tells no time of our days.
    """
    seconds = arrival(base)[0]
    return seconds if 0 < seconds < 1 << 40 else int(otherwise)


def wire_size(base: bytes) -> int:
    """Return the size in CRLF form that a file name tells in ``,W=``, 0 when it does not."""
    for field in base.split(b",")[1:]:
        if field.startswith(b"W=") and field[2:].isdigit() and len(field) < 22:
            return int(field[2:])
    return 0
