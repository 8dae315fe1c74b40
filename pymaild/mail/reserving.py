"""Numbers that are never given twice: the reservations in a mailbox's control file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.core.errors import Code, Refused
from pymaild.storage import control as control_file

if TYPE_CHECKING:
    from pymaild.index import Index
    from pymaild.mail.mailbox import Mailbox


def reserved(box: Mailbox, index: Index) -> control_file.Control:
    """Return the control file's content; the caller holds the lock."""
    found = control_file.load(box.directory)
    if found is None:
        found = control_file.Control(
            index.uidvalidity, index.uidnext, index.snapshot, index.keyword_names()
        )
    box.control = found
    return found


def reserve(box: Mailbox, index: Index, uid: int) -> None:
    """Make sure that UIDs below ``uid`` and the next transaction are never given twice."""
    if uid > 2**32 - 1:
        raise Refused(Code.LIMIT, "This mailbox has used all its unique identifiers")
    held = box.control or reserved(box, index)
    if uid < held.reserved_uid and index.snapshot + 2 < held.reserved_modseq:
        return
    held = reserved(box, index)
    if held.reserve(uid, index.snapshot + 2):
        held.save(box.directory, box.settings.fsync)
