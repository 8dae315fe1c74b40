"""Bringing a mailbox's index and its Maildir together.

The Maildir is the truth. Whatever others did there (deliveries, renames, removals) and whatever
a crash left behind is found by one procedure, :func:`scan`; the caller holds the lock.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from pymaild.index import IN_NEW, Index, Unusable
from pymaild.mail import batch
from pymaild.storage import atomic, takeover
from pymaild.storage import control as control_file
from pymaild.storage import maildir as maildir_file
from pymaild.storage._names import parse, without_uid
from pymaild.storage.locks import FileLock

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

SYSTEM = 0x1F
SETTLED = 50_000_000  # ns after which a directory's mtime tells every change (coarse clocks)
FULL = (errno.ENOSPC, errno.EDQUOT)
NEVER = (0, 0)  # mtimes in the index when the next look at the mailbox must be a scan
COMPACT_DEAD = 1000  # tombstones, and a quarter of all rows, that start a compaction
COMPACT_LOG = 4 << 20  # octets of log, and 80 for each row
REMEMBERED = 3600  # seconds for which a new index knows of messages that went: sessions wait less
COMPACT_MOST = 1 << 18  # tombstones that start a compaction before they are twice that old

_log = logging.getLogger("pymaild.mail")


@dataclass(slots=True)
class _File:
    """One message file that the index does not know yet."""

    path: str
    base: bytes
    uid: int
    flags: int
    keywords: int
    new: bool


@dataclass(slots=True)
class _Picture:
    """What a scan found: rows that are there, and files that no row stands for."""

    seen: set[int] = field(default_factory=set)
    strangers: list[_File] = field(default_factory=list)


def load(box: Mailbox) -> Index:
    """Open the index, or make it anew from the mail. Takes the lock where it must write."""
    try:
        index = Index.open(box.directory)
        if not index.interrupted:
            return _shared(box, index)
    except Unusable:
        pass
    with box.lock:
        return _load_locked(box)


def _shared(box: Mailbox, index: Index) -> Index:
    """An index that other processes write, too."""
    index.await_writer = partial(_await_writer, box.lock)
    return index


def _await_writer(lock: FileLock, index: Index) -> None:
    """A writer is long in the middle of a change: wait for it, and undo it where it has died."""
    with lock:
        if index.interrupted:
            held = control_file.load(index.directory)
            if held is None:
                raise Unusable("its control file is gone")
            _mend(held, index)


def _load_locked(box: Mailbox) -> Index:
    try:
        index = Index.open(box.directory)
        if index.interrupted:
            _mend(_control(box)[0], index)
        return _shared(box, index)
    except Unusable as reason:
        _log.info("index of %s is made anew: %s", box.directory, reason)
        return rebuild(box)


def _mend(held: control_file.Control, index: Index) -> None:
    """A writer died, or the machine did: then what was not on disk yet may be missing."""
    if index.uidvalidity != held.uidvalidity or index.verify():
        raise Unusable("it does not fit the mailbox")
    lost = index.rebooted
    index.mend(held.reserved_uid if lost else 1, held.reserved_modseq if lost else 1)


def _control(box: Mailbox) -> tuple[control_file.Control, takeover.Adopted | None]:
    """Return the control file; one is made on first sight, after another server's folder.

    A takeover that was interrupted goes on with the other server's list.
    """
    found = control_file.load(box.directory)
    if found is not None and not found.adopting:
        return found, None
    adopted = takeover.adopt(box.directory)
    if adopted is None:
        adopted = takeover.Adopted(_own_validity(box, found), 1, named=found is not None)
    if found is None:
        keywords = adopted.keywords[: takeover.KEYWORD_LETTERS]
        found = control_file.Control(adopted.uidvalidity, adopted.uidnext, 1, keywords, True)
        found.reserve(adopted.uidnext, 1)
        found.save(box.directory, box.settings.fsync)
    return found, adopted


def _own_validity(box: Mailbox, held: control_file.Control | None) -> int:
    if held is not None:
        return held.uidvalidity
    return _surviving_validity(box) or control_file.next_uidvalidity(
        box.root, box.settings.lock_timeout, box.settings.fsync
    )


def _surviving_validity(box: Mailbox) -> int:
    """UIDVALIDITY of an index whose control file is gone, 0 when there is none."""
    try:
        return Index.open(box.directory).uidvalidity
    except Unusable:
        return 0


def rebuild(box: Mailbox) -> Index:
    """Make index, log and cache from the Maildir; UIDs and flags stand in the file names."""
    held, adopted = _control(box)
    old, past = _superseded(box), Index.remains(box.directory)
    first, snapshot = _floors(held, adopted, old)
    index = Index.create(box.directory, held.uidvalidity, first, snapshot, held.keywords, _replace)
    if old is not None:
        old.supersede()
    box.control = held
    index.touch()  # what is missing since went in a transaction of its own
    scan(box, index, adopted or takeover.Adopted(held.uidvalidity, first, named=True))
    index.seal(_remember(index, past))
    if held.adopting:
        held = box.reserved(index)
        held.adopting = False
        held.save(box.directory, box.settings.fsync)
    return _shared(box, index)


def _remember(index: Index, old: Index | None) -> int:
    """Keep the recent past, so that a view which somebody will come back to can be had again.

    Returns the transaction at which it begins, 0 where there is none.
    """
    if old is None or old.uidvalidity != index.uidvalidity or old.snapshot > index.snapshot:
        return 0
    if old.keyword_names() != index.keyword_names():
        return 0
    try:
        return index.remember(old, int(time.time()) - REMEMBERED, COMPACT_MOST // 2)
    except OSError as error:
        _log.warning("the past of %s is forgotten: %s", index.directory, error)
        return 0


def _replace(files: Sequence[tuple[str, bytes]]) -> None:
    """An index is not synced: what a power failure takes of it is made anew."""
    atomic.replace_all(files, durable=False)


def _floors(
    held: control_file.Control, adopted: takeover.Adopted | None, old: Index | None
) -> tuple[int, int]:
    """UIDNEXT and transaction number to go on with: those of a sound index, else what was
    reserved, since every number below may have been used."""
    if adopted:
        return adopted.uidnext, held.reserved_modseq
    if old is not None and not old.interrupted and old.uidvalidity == held.uidvalidity:
        return old.uidnext, old.snapshot
    return held.reserved_uid, held.reserved_modseq


def _superseded(box: Mailbox) -> Index | None:
    try:
        return Index.open(box.directory)
    except (Unusable, OSError):
        return None


def scan(box: Mailbox, index: Index, adopted: takeover.Adopted | None = None) -> None:
    """Make the index say what the Maildir says. ``adopted``: UIDs known from elsewhere."""
    batch.settle(box.maildir)
    before, started = box.maildir.stamp(), time.time_ns()
    picture = _compare(box, index)
    missing = _missing(box, index, picture)
    box.publish(index)
    try:
        renamed = _take_in(box, index, picture.strangers, adopted)
        box.publish(index)
    except OSError as error:
        if adopted is not None or error.errno not in FULL:
            raise
        # What is known already can be read and removed; the rest waits for the next scan.
        index.forget()
        renamed, before = False, NEVER
        _log.error("mail in %s is not taken in: %s", box.directory, error)
    for row in missing:
        index.expunge(row)
    box.publish(index)
    if renamed:
        index.stamp = (*box.maildir.stamp(), time.time_ns())
    else:
        settled = started - max(before) > SETTLED
        index.stamp = (*before, 0 if settled else started)
    compact_if_due(box, index)


def _compare(box: Mailbox, index: Index) -> _Picture:
    """Stage the flags that changed outside, and collect files without a row."""
    picture = _Picture()
    for new, name in box.maildir.listing():
        base, uid, flags, keywords = parse(name)
        row = index.row_of_uid(uid) if uid else -1
        if row < 0 or row in picture.seen or index.name(row) != base:
            directory = box.maildir.new if new else box.maildir.cur
            path = os.path.join(directory, os.fsdecode(name))
            picture.strangers.append(_File(path, base, uid, flags, keywords, new))
            continue
        picture.seen.add(row)
        _, old_flags, old_keywords, _ = index.fields(row)
        now_flags = flags | (IN_NEW if new else 0)
        if (old_flags, old_keywords) != (now_flags, keywords):
            index.change(row, now_flags, keywords)
    return picture


def _missing(box: Mailbox, index: Index, picture: _Picture) -> list[int]:
    """Rows without a file. A file renamed while the directory was read shows up nowhere: only
    what a second reading does not find either is gone."""
    if index.counts()[0] == len(picture.seen):
        return []
    lost = [row for row, *_ in index.living() if row not in picture.seen]
    there = {parse(name)[0] for _, name in box.maildir.listing()} if lost else set()
    return [row for row in lost if index.name(row) not in there]


def _take_in(
    box: Mailbox, index: Index, files: list[_File], adopted: takeover.Adopted | None
) -> bool:
    """Give each new file its UID, in its name and in the index; true when files were renamed."""
    if not files:
        return False
    held = box.reserved(index)
    trusted = _trusted(index, files, adopted, held.reserved_uid)
    assigned = {id(file): uid for uid, file in trusted.items()}
    uid = max([index.uidnext, *(known + 1 for known in trusted)])
    for file in sorted(
        (file for file in files if id(file) not in assigned),
        key=lambda file: maildir_file.arrival(file.base),
    ):
        assigned[id(file)] = uid
        uid += 1
    box.reserve(index, uid)
    return _stage(box, index, sorted(files, key=lambda file: assigned[id(file)]), assigned, adopted)


def _trusted(
    index: Index, files: Iterable[_File], adopted: takeover.Adopted | None, reserved: int
) -> dict[int, _File]:
    """UIDs that stand: told by another server's list, or by a name that this mailbox gave.

    A name's UID counts when the index has not come that far (a crash before the index was
    told) or is being rebuilt; any other file with a UID came from another folder.
    """
    floor = 1 if adopted and adopted.named else index.uidnext
    found: dict[int, _File] = {}
    for file in sorted(files, key=lambda file: maildir_file.arrival(file.base)):
        uid = _listed(adopted, file) if adopted else 0
        if not uid and floor <= file.uid < reserved:
            uid = file.uid
        if uid and uid not in found:
            found[uid] = file
    return found


def _listed(adopted: takeover.Adopted, file: _File) -> int:
    """The UID another server's list gives this file, also when we have renamed it already."""
    uid = adopted.uids.get(file.base, 0)
    if not uid and file.uid and adopted.uids.get(without_uid(file.base), 0) == file.uid:
        return file.uid
    return uid


def _stage(
    box: Mailbox,
    index: Index,
    files: list[_File],
    assigned: dict[int, int],
    adopted: takeover.Adopted | None,
) -> bool:
    renamed = False
    for done, file in enumerate(files):
        box.beat(done, len(files))
        uid = assigned[id(file)]
        try:
            stat = os.stat(file.path)
            keywords = file.keywords | _assigned_keywords(adopted, file.base)
            base = file.base
            if file.uid != uid or keywords != file.keywords:
                base = _rename(box, file, uid, keywords)
                renamed = True
        except FileNotFoundError:
            continue  # moved or removed by another since it was listed: the next scan sees it
        flags = file.flags | (IN_NEW if file.new else 0)
        times = (int(stat.st_mtime), maildir_file.save_date(base, stat.st_ctime))
        sizes = (stat.st_size, maildir_file.wire_size(base))
        index.add(uid, flags, keywords, *times, *sizes, base)
    return renamed


def _rename(box: Mailbox, file: _File, uid: int, keywords: int) -> bytes:
    """Put the UID, and keywords that stood elsewhere, into a file's name."""
    base, path = box.maildir.name_with_uid(file.path, file.base, uid)
    if keywords != file.keywords:
        box.maildir.set_flags(path, base, file.flags, keywords)
        file.new = False
    return base


def _assigned_keywords(adopted: takeover.Adopted | None, base: bytes) -> int:
    if adopted is None or not adopted.assigned:
        return 0
    words = adopted.assigned.get(base) or adopted.assigned.get(without_uid(base), [])
    places = (adopted.keywords.index(name) for name in words if name in adopted.keywords)
    return sum(1 << place for place in set(places))


def compact_if_due(box: Mailbox, index: Index) -> None:
    """Write index, log and cache anew when tombstones or log have grown out of proportion."""
    rows = index.count
    many_dead = index.dead > COMPACT_DEAD and index.dead * 4 > rows and _forgettable(index)
    if many_dead or index.log_size > COMPACT_LOG + 80 * rows:
        try:
            compact(box, index)
        except OSError as error:
            _log.warning("index of %s is not written anew: %s", box.directory, error)


def _forgettable(index: Index) -> bool:
    """Whether enough time has passed that writing it anew forgets some, and not at each change."""
    return index.dead > COMPACT_MOST or time.time() - index.oldest > 2 * REMEMBERED


def compact(box: Mailbox, index: Index) -> Index:
    """Replace the three files by ones that hold what lives and what went of late, under the
    same snapshot."""
    fresh = Index.create(
        box.directory,
        index.uidvalidity,
        index.uidnext,
        index.snapshot - 1,
        index.keyword_names(),
        _replace,
    )
    entries = []
    fresh.touch()  # where nothing lives, too, the number stays
    for row, uid, flags, keywords, date, saved, size, wire, name, modseq in index.living():
        place = fresh.add(uid, flags, keywords, date, saved, size, wire, name, modseq)
        entries.append((row, place, wire))
    fresh.commit()
    for row, place, wire in entries:
        entry = index.cached(row)
        if entry is not None:
            fresh.set_cached(place, entry, wire)
    fresh.stamp = index.stamp
    fresh.seal(_remember(fresh, index))
    index.supersede()
    return fresh
