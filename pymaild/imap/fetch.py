"""FETCH: from the items asked for to the responses (RFC 3501 §6.4.5, §7.4.2)."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymaild.core.errors import Code, Disconnected, Refused, StorageFailure, TimedOut
from pymaild.imap import _rows
from pymaild.imap.items import (
    BINARY,
    BINARY_SIZE,
    FIELDS,
    ITEMS,
    LAZY_PREVIEW,
    SECTION,
    Item,
    Plan,
)
from pymaild.imap.responses import date_time
from pymaild.mail.flags import SEEN, Flags

if TYPE_CHECKING:
    from pymaild.imap.selection import Selection
    from pymaild.imap.session import ImapSession
    from pymaild.index import View
    from pymaild.mail.binary import Decoded
    from pymaild.mail.message import Message, Source

log = logging.getLogger("pymaild.imap")

_CHUNK = 1 << 16  # octets of metadata that are written at a time
_BATCH = 100  # messages that are marked as seen at a time
_SMALL = 1 << 16  # octets of a body that are read before the response is begun


@dataclass(slots=True)
class Part:
    """Octets of a message that are sent after the response has begun.

    ``mark`` stands before the literal: "~" for one that may hold NUL (RFC 9051 §4.3.1).
    """

    source: Source | Decoded
    offset: int
    count: int
    mark: bytes = b""


Value = bytes | Part


class Row:
    """One message while its response is put together; its file is opened when needed."""

    view: View
    seq: int

    def __init__(self, selection: Selection, seq: int) -> None:
        self.selection = selection
        self.view = selection.selected.view
        self.seq = seq
        self._message: Message | None = None

    @property
    def message(self) -> Message:
        """The message behind the row."""
        if self._message is None:
            self._message = self.selection.mailbox.message(self.view, self.seq)
        return self._message


def _section(row: Row, item: Item) -> Value:
    source = row.message.section(item.path, item.what)
    if source is None:
        return b"NIL"
    offset = min(max(item.offset, 0), source.size)
    left = source.size - offset
    count = left if item.offset < 0 else min(item.count, left)
    if count > _SMALL:
        return Part(source, offset, count)
    octets = b"".join(source.pieces(offset, count)) if count else b""
    if len(octets) != count:
        raise StorageFailure(
            Code.UNAVAILABLE, "A message cannot be read", f"message {row.seq} is not as indexed"
        )
    return b"{%d}\r\n%b" % (count, octets)


def _binary(row: Row, item: Item) -> Value:
    """BINARY: a literal8 where a NUL is in it, else a literal (RFC 3516 §4.3).

    What is large is decoded twice: once to know size and NULs, once to be sent.
    """
    source = row.message.decoded(item.path)
    if source is None:
        return b"NIL"
    offset, count = (0, None) if item.offset < 0 else (item.offset, item.count)
    held: list[bytes] = []
    size, mark = 0, b""
    for piece in source.pieces(offset, count):
        size += len(piece)
        mark = b"~" if b"\0" in piece else mark
        if size <= _SMALL:
            held.append(piece)
    if size > _SMALL:
        return Part(source, offset, size, mark)
    return b"%b{%d}\r\n%b" % (mark, size, b"".join(held))


def _binary_size(row: Row, item: Item) -> bytes:
    source = row.message.decoded(item.path)
    return b"%d" % (source.size if source is not None else 0)


def _preview(row: Row, item: Item) -> bytes:
    return row.message.preview(item.op == LAZY_PREVIEW) or b"NIL"


def _fields(row: Row, item: Item) -> Value:
    lines = row.message.part_header_fields(item.path, item.names, item.negate)
    if lines is None:
        return b"NIL"
    if item.offset >= 0:
        lines = lines[item.offset : item.offset + item.count]
    return b"{%d}\r\n%b" % (len(lines), lines)


#: The value of each item, for a message whose row and cache do not have it all.
_VALUES: dict[int, Callable[[Row, Item], Value]] = {
    _rows.UID: lambda row, item: b"%d" % row.view.uid(row.seq),
    _rows.FLAGS: lambda row, item: row.selection.flags(row.seq),
    _rows.INTERNALDATE: lambda row, item: date_time(row.view.date(row.seq)),
    _rows.SIZE: lambda row, item: b"%d" % (row.view.size(row.seq) or row.message.size),
    _rows.ENVELOPE: lambda row, item: row.message.envelope,
    _rows.BODYSTRUCTURE: lambda row, item: row.message.bodystructure,
    _rows.BODY: lambda row, item: row.message.body,
    _rows.MODSEQ: lambda row, item: b"(%d)" % row.view.modseq(row.seq),
    _rows.PREVIEW: _preview,
    _rows.EMAILID: lambda row, item: b"(%b)" % row.message.emailid,
    _rows.THREADID: lambda row, item: b"(%b)" % row.message.threadid,
    _rows.SAVEDATE: lambda row, item: date_time(row.view.save_date(row.seq)),
    SECTION: _section,
    FIELDS: _fields,
    BINARY: _binary,
    BINARY_SIZE: _binary_size,
    LAZY_PREVIEW: _preview,
}

_UID, _FLAGS, _MODSEQ = (ITEMS[name] for name in (b"UID", b"FLAGS", b"MODSEQ"))


class Fetch:
    """One FETCH command under way. A message that fails is passed over and told at the end."""

    def __init__(self, session: ImapSession, plan: Plan) -> None:
        self._session = session
        self._selection = session.current
        self._plan = plan
        self._failure: Refused | None = None

    def run(self, seqs: array[int]) -> Refused | None:
        """Send the responses; returns why some are missing, None when none is."""
        if self._plan.marks and self._may_mark():
            for start in range(0, len(seqs), _BATCH):
                self._marked(seqs[start : start + _BATCH])
        elif self._plan.row_items:
            self._rows(seqs)
        else:
            for done, seq in enumerate(seqs):
                self._one(seq, self._plan.items)
                self._session.progress.beat(done, len(seqs))
        return self._failure

    def _may_mark(self) -> bool:
        """Whether bodies that are told become \\Seen (RFC 4314 §4)."""
        return not self._selection.read_only and "s" in self._selection.mailbox.rights()

    def _rows(self, seqs: array[int]) -> None:
        """Copy what rows, cache and messages hold; what is left is answered the long way."""
        selection, sections = self._selection, self._plan.row_sections
        octets = selection.mailbox.mail.octets() if sections else None
        view, keywords = selection.selected.view, selection.keyword_octets
        uidonly = self._session.modes.uidonly
        recent, items, fields = (
            selection.recent_spans(),
            self._plan.row_items,
            self._plan.row_fields,
        )
        place = 0
        while place < len(seqs):
            written, place = _rows.write(
                view,
                seqs,
                place,
                items,
                fields,
                keywords,
                recent,
                _CHUNK,
                uidonly,
                sections,
                octets,
            )
            self._session.write(written)
            if place < len(seqs) and len(written) < _CHUNK:
                self._one(seqs[place], self._plan.items)
                place += 1
            if place < len(seqs):
                self._session.progress.beat(place, len(seqs))

    def _marked(self, seqs: array[int]) -> None:
        """Send bodies, and mark their messages as seen, which their responses tell."""
        flags = self._selection.selected.view.flags
        unseen = {seq for seq in seqs if not flags(seq) & SEEN}
        if not unseen and self._plan.row_items:
            self._rows(seqs)
            return
        if unseen:
            self._mark(sorted(unseen))
        items = self._plan.items
        telling = tuple(dict.fromkeys((*items, *self._told_of_flags())))
        for seq in seqs:
            self._one(seq, telling if seq in unseen else items)
            self._session.progress.beat()

    def _told_of_flags(self) -> tuple[Item, ...]:
        """What is told of a message whose flags have changed (RFC 7162 §3.2.4)."""
        modes = self._session.modes
        if not modes.condstore:
            return (_FLAGS,)
        return (_FLAGS, _MODSEQ) if modes.uidonly else (_UID, _FLAGS, _MODSEQ)

    def _mark(self, unseen: list[int]) -> None:
        """Mail can be read where nothing can be written: a full disk, a read-only one."""
        selection = self._selection
        try:
            selection.mailbox.store(selection.selected.view, unseen, "add", Flags(SEEN))
        except StorageFailure as failure:
            log.warning("messages were not marked as seen: %s", failure.detail)

    def _one(self, seq: int, items: Sequence[Item]) -> None:
        row = Row(self._selection, seq)
        try:
            values = [(item.label, _VALUES[item.op](row, item)) for item in items]
        except Refused as failure:
            self._failure = self._failure or failure
            return
        self._send(seq, values)

    def _send(self, seq: int, values: list[tuple[bytes, Value]]) -> None:
        """Write a response. Nothing but the connection can fail from here on."""
        write = self._session.write
        ready = [self._selection.head(seq)]
        for number, (label, value) in enumerate(values):
            ready.append(b" %b " % label if number else label + b" ")
            if isinstance(value, Part):
                ready.append(b"%b{%d}\r\n" % (value.mark, value.count))
                write(b"".join(ready))
                ready.clear()
                self._send_part(value)
            else:
                ready.append(value)
        ready.append(b")\r\n")
        write(b"".join(ready))

    def _send_part(self, part: Part) -> None:
        """Send octets that were promised; when they do not exist there is no way back."""
        try:
            left = part.count - self._copy(part)
        except (Disconnected, TimedOut):
            raise
        except Exception as error:
            log.exception("a message became unreadable while it was sent")
            raise Disconnected("a response broke off") from error
        if left:
            log.error("a message became shorter while it was sent")
            raise Disconnected("a response broke off")

    def _copy(self, part: Part) -> int:
        """Send a part, straight from its file where that holds the wire form."""
        file = part.source.file()
        if file is not None:
            self._session.stream.write_file(file[0], file[1] + part.offset, part.count)
            return part.count
        sent = 0
        for piece in part.source.pieces(part.offset, part.count):
            self._session.write(piece)
            self._session.services.board.beat()
            sent += len(piece)
        return sent
