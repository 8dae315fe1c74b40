"""The mail of a mailbox in an mbox: one file, which other programs read and write at any time.

Flags and UIDs stand in the messages' internal fields; the index knows where each begins. That is
only where it was: what is read or changed there is first seen to be the message that is meant.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple
from typing import TYPE_CHECKING

from pymaild.index import Index
from pymaild.mail import _octets as octets
from pymaild.mail.stores import (
    KINDS,
    SETTLED,
    Arrival,
    Beat,
    Leaving,
    Octets,
    Order,
    Placed,
    Store,
    Taken,
    mbox_note,
)
from pymaild.mail.stores.carrying import carrying
from pymaild.mail.stores.mbox_scan import Scan, is_row
from pymaild.storage import atomic, control
from pymaild.storage.maildir import STALE_TMP
from pymaild.storage.mbox import (
    Addition,
    Draft,
    Edit,
    Mbox,
    Message,
    Moves,
    NotMbox,
    Numbering,
    State,
)
from pymaild.storage.mboxlocks import LockRules
from pymaild.storage.takeover import Adopted

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

_RETURN_PATH = re.compile(rb"Return-Path:[ \t]*<([^<>\r\n]*)>", re.IGNORECASE)
_LONGEST_PATH = 512  # octets of that line which are looked at

READ_WHOLE = 1 << 18  # octets up to which a message is read into memory; others are copied to disk


class MboxStore:
    """An mbox. ``lasting``: it is made again where another program has removed it: INBOX."""

    def __init__(
        self, path: str, directory: str, rules: LockRules, durable: bool, lasting: bool = False
    ) -> None:
        self.directory = directory
        self.paths = [path, directory]
        self.address = ["mbox", path, directory, json.dumps(astuple(rules))]
        self.mbox = Mbox(path, directory, rules, durable)
        self._durable = durable
        self._lasting = lasting
        self.write = self.mbox.write

    def exists(self) -> bool:
        """Say whether there is such a file; then there is a directory for its index."""
        if not self.mbox.exists() and not self._made():
            return False
        if not os.path.isdir(self.directory):
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
        return True

    def _made(self) -> bool:
        if not self._lasting:
            return False
        try:
            self.mbox.create()
        except FileExistsError:
            return self.mbox.exists()
        except PermissionError:
            return False
        return True

    def stamp(self) -> tuple[int, int]:
        """Return the file's mtime in nanoseconds and its octets; others while it changes."""
        try:
            found = self.mbox.stamp()
        except FileNotFoundError:
            if not self._made():
                raise
            found = self.mbox.stamp()
        return (1, 0) if self.mbox.unfinished() else found

    def held(self) -> AbstractContextManager[int]:
        """Lock the file as its other readers and writers do."""
        self.stamp()
        return self.mbox.writing()

    def mark(self, since: int) -> tuple[int, int, int]:
        """Give the file an mtime of its own, so that the next change by anybody moves it.

        What the kernel writes there is coarse: two changes within some milliseconds look like
        one. Whether there is new mail, which shells tell by the atime, stays as it was.
        """
        found, now = os.fstat(self.mbox.fd), time.time_ns()
        if now - found.st_mtime_ns < SETTLED:
            try:
                read = found.st_atime_ns >= found.st_mtime_ns
                os.utime(self.mbox.fd, ns=(now if read else found.st_atime_ns, now))
            except PermissionError:
                return *self.mbox.stamp(), now
        return *self.mbox.stamp(), since

    def adopted(self) -> Adopted | None:
        """Return what the first message says of the mailbox."""
        with self.mbox.writing():
            base = self.base()
        if base is None or not 0 < base[0] < 1 << 32:
            return None
        return Adopted(base[0], base[1] + 1, named=True)

    def scan(self, box: Mailbox, index: Index, adopted: Adopted | None) -> None:
        """Compare the file with the index."""
        with self.mbox.writing():
            mbox_note.settle(self)
            Scan(self, box, index, adopted).run()
            mbox_note.forget(self)

    def sweep(self, now: float) -> None:
        """Remove drafts of deliveries that died long ago."""
        for name in os.listdir(self.directory):
            path = os.path.join(self.directory, name)
            if name.endswith(".draft") and now - os.stat(path).st_mtime > STALE_TMP:
                atomic.unlink(path)

    # -- one message ---------------------------------------------------------------------------

    def read(self, index: Index, row: int) -> Octets | None:
        """Read a message while the file is locked; a large one is copied, not to keep it locked."""
        with self.mbox.reading():
            message = self.find(index, row)
            if message is None:
                return None
            pieces = self.mbox.served(message)
            if message.size <= READ_WHOLE:
                return memoryview(b"".join(pieces)), -1
            with tempfile.TemporaryFile(dir=self.directory) as file:
                file.writelines(pieces)
                file.flush()
                fd = os.dup(file.fileno())
        return memoryview(mmap.mmap(fd, 0, prot=mmap.PROT_READ)), fd

    def octets(self) -> octets.Octets:
        """Return what reads messages one after the other."""
        return octets.Octets(self)

    def find(self, index: Index, row: int) -> Message | None:
        """Return where a message is now, None where it has gone; the file is locked."""
        uid = index.fields(row)[0]
        if index.row_of_uid(uid) != row:
            return None
        try:
            message = self.mbox.message(index.place(row))
            if message.uid in (uid, 0) and is_row(index, row, message):
                return message
        except NotMbox:
            pass
        return self._search(index, uid)

    def _search(self, index: Index, uid: int) -> Message | None:
        """Look through the whole file; what is met on the way is known then, too."""
        found = None
        for message in self.mbox.scan():
            row = index.row_of_uid(message.uid) if message.uid else -1
            if row >= 0 and is_row(index, row, message):
                index.set_place(row, message.offset)
                found = message if message.uid == uid else found
        return found

    def known_as(self, index: Index, row: int) -> str:
        """Return the UID with the digest of the header: no other server has names for messages."""
        digest = index.name(row).rpartition(b",")[2].decode()
        return f"{index.fields(row)[0]}:{digest}"

    # -- changes -------------------------------------------------------------------------------

    def numbering(self, index: Index, last: int = 0) -> Numbering:
        """Return what the first message is to say; ``last``: a UID that is given just now."""
        names = [name.encode() for name in index.keyword_names()]
        return Numbering(index.uidvalidity, max(last, index.uidnext - 1), names)

    def told(self, last: int = 0) -> Numbering:
        """Return the same where the index is not at hand; what the file says never goes back."""
        held = control.load(self.directory)
        assert held is not None
        base = self.base()
        if base is not None and base[0] == held.uidvalidity:
            last = max(last, base[1])
        return Numbering(held.uidvalidity, last, [name.encode() for name in held.keywords])

    def base(self) -> tuple[int, int, tuple[bytes, ...]] | None:
        """Return UIDVALIDITY, the last UID and keywords as the first message tells them."""
        return self.mbox.message(0).base if self.mbox.size() else None

    def rewrite(self, index: Index, edits: Iterable[Edit], last: int = 0) -> Moves:
        """Make edits, in the order of the file, and remember where messages are then."""
        moves = self.mbox.rewrite(edits, self.numbering(index, last))
        index.move_places(moves.ends, moves.by)
        return moves

    def set_flags(
        self, index: Index, changes: Mapping[int, tuple[int, int]], beat: Beat
    ) -> set[int]:
        """Write the fields of messages in one pass."""
        edits, gone = [], set()
        names = [name.encode() for name in index.keyword_names()]
        with self.mbox.writing():
            for row, (flags, keywords) in changes.items():
                beat(0, 0)
                message = self.find(index, row)
                if message is None:
                    gone.add(row)
                    continue
                uid = index.fields(row)[0]
                words = [name for bit, name in enumerate(names) if keywords >> bit & 1]
                words += [name for name in message.keywords if name not in names]
                edits.append(Edit(message.offset, State(uid, flags, words, old=True)))
                index.change(row, flags, keywords)
            if edits:
                self.rewrite(index, sorted(edits, key=lambda edit: edit.offset))
        return gone

    def follow(self, index: Index, beat: Beat) -> None:
        """Flags are in the file before the index knows them."""

    def remove(self, index: Index, rows: Sequence[int], beat: Beat, durable: bool = False) -> None:
        """Take messages out of the file in one pass."""
        edits = []
        with self.mbox.writing():
            for row in rows:
                beat(0, 0)
                message = self.find(index, row)
                if message is not None:
                    edits.append(Edit(message.offset, None))
                index.expunge(row)
            if edits:
                self.rewrite(index, sorted(edits, key=lambda edit: edit.offset))

    def traces(self, index: Index, rows: Sequence[int]) -> list[str]:
        """Return UIDs with the digests of headers."""
        return [self.known_as(index, row) for row in rows]

    def departed(self, traces: Sequence[str]) -> list[bool]:
        """Look for the messages in the file; work of the dead is ended first."""
        if not self.mbox.exists():
            return [True] * len(traces)
        with self.mbox.writing():
            self.mbox.settle()
            there = {f"{message.uid}:{message.identity.hex()}" for message in self.mbox.scan()}
        return [trace not in there for trace in traces]

    # -- messages that come --------------------------------------------------------------------

    @contextmanager
    def placing(
        self, arrivals: Sequence[Arrival], mark: str, leaving: Leaving | None = None
    ) -> Iterator[list[Placed]]:
        """Append drafts in one step. A note keeps their names, which the file has no room for."""
        with self.mbox.writing():
            mbox_note.write(self, arrivals, mark, leaving, self._durable)
            numbering = self.told(max(arrival.uid for arrival in arrivals))
            additions = [_addition(one, numbering.keywords) for one in arrivals]
            try:
                messages = self.mbox.append(additions, numbering)
                yield [_placed(*both) for both in zip(arrivals, messages, strict=True)]
            except BaseException:
                mbox_note.take_back(self, leaving)
                raise
            mbox_note.forget(self)

    def secure(self, placed: Sequence[Placed] | None = None) -> None:
        """What was appended is on disk, unless its process died in the last step of that."""
        if placed is None and self._durable:
            with self.mbox.reading() as fd:
                atomic.sync_file(fd, self.mbox.path)

    @contextmanager
    def receiving(
        self,
        source: Store,
        index: Index,
        orders: Sequence[Order],
        mark: str,
        first: int,
        move: bool,
        beat: Beat,
    ) -> Iterator[list[Taken]]:
        """Write messages anew, whatever they come from."""
        with carrying(self, source, index, orders, mark, first, move, beat) as taken:
            yield taken


def _addition(arrival: Arrival, names: Sequence[bytes]) -> Addition:
    draft, _, uid, flags, keywords, date = arrival
    assert isinstance(draft, Draft)
    words = [name for bit, name in enumerate(names) if keywords >> bit & 1]
    state = State(uid, flags, words, old=bool(flags or keywords))
    return Addition(draft, state, date, _sender(draft))


def _sender(draft: Draft) -> bytes:
    """Return what the delivery wrote above a message (RFC 5321 §4.4), b"" where nothing is."""
    with open(draft.path, "rb") as file:
        found = _RETURN_PATH.match(file.read(_LONGEST_PATH))
    return found[1] if found else b""


def _placed(arrival: Arrival, message: Message) -> Placed:
    name = f"{arrival.name},{message.identity.hex()}".encode()
    sizes = (message.size, message.wire_size)
    return Placed(name, not message.old, int(time.time()), *sizes, place=message.offset)


def _found_again(address: Sequence[str], durable: bool) -> MboxStore:
    path, directory, rules = address
    return MboxStore(path, directory, LockRules(*json.loads(rules)), durable)


KINDS["mbox"] = _found_again
