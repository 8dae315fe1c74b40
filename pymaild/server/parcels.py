"""From a session's record to the parcel in which it travels to the keeper, and back."""

from __future__ import annotations

import os
from dataclasses import fields

from pymaild.core.session import SessionRecord, User, Wait
from pymaild.net.protocols import PROTOCOLS
from pymaild.server import errands
from pymaild.server.board import address_key
from pymaild.server.channel import close_all
from pymaild.server.errands import CAUSES, NAMES, Packed, Parcel
from pymaild.server.parked import ROOM, Flag
from pymaild.server.scoreboard import digest

SHOWN = 80  # characters of a user's and a mailbox's name, where the record is long


def wrap(record: SessionRecord, flags: int = 0) -> tuple[Parcel, list[int]]:
    """Return a session's parcel, and the files that go with it.

    These are one in memory, where the record is too long for a row, and those of its wait.
    ``record.wait`` becomes None: the parcel has it.
    """
    wait, record.wait = record.wait or Wait(), None
    packed = errands.pack_wait(wait)
    text, files = packed + errands.pack_record(record.encode()), list[int]()
    if len(text) > ROOM:
        flags, files = flags | Flag.FILE, [_file(text)]
        text = errands.pack_record(_brief(record).encode())
    if wait.descriptor >= 0:
        flags, files = flags | Flag.LOCK, [*files, wait.descriptor]
    if wait.backlog >= 0:
        flags, files = flags | Flag.BACKLOG, [*files, wait.backlog]
    cause, place = CAUSES.index(wait.cause), NAMES.index(record.protocol)
    key = errands.key_of(record.id)
    parcel = Parcel(key, *_counted(record), place, flags, cause, len(packed), text)
    return parcel, files


def unwrap(parcel: Parcel, files: list[int]) -> tuple[Wait, bytes]:
    """Return a session's wait and encoded record; its file is read and closed.

    Raises ValueError.
    """
    wait, record = parcel.text[: parcel.wait], parcel.text[parcel.wait :]
    if parcel.flags & Flag.FILE:
        memory = files.pop(0)
        text = errands.read_file(memory)
        os.close(memory)
        wait, record = wait or text, text[Packed(text).size :]
    found = errands.unpack_wait(wait)
    if parcel.flags & Flag.LOCK and files:
        found.descriptor = files.pop(0)
    if parcel.flags & Flag.BACKLOG and files:
        found.backlog = files.pop(0)
    close_all(files)
    return found, errands.unpack_record(record)


def _counted(record: SessionRecord) -> tuple[int, int]:
    """Return the digests of user and address that a session counts under (SessionBoard)."""
    if record.user is not None:
        return digest(record.user.name), 0
    key = address_key(record.peer.address) if PROTOCOLS[record.protocol].logs_in else ""
    return 0, digest(key) if key else 0


def _brief(record: SessionRecord) -> SessionRecord:
    """Return what is to be shown of a session whose record is long."""
    brief = type(record)()
    for name in ("protocol", "id", "peer", "started", "state"):
        setattr(brief, name, getattr(record, name))
    brief.client = record.client[:SHOWN]
    brief.user = User(name=record.user.name[:SHOWN]) if record.user else None
    for name in {"mailbox", "idling"} & {item.name for item in fields(record)}:
        setattr(brief, name, getattr(record, name)[:SHOWN])
    return brief


def _file(text: bytes) -> int:
    fd = os.memfd_create("session", os.MFD_CLOEXEC)
    os.write(fd, text)
    return fd
