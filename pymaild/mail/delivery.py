"""Final delivery: a message into one user's mailbox, for LMTP and the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pymaild.core.errors import Code, Refused, StorageFailure
from pymaild.mail import committed
from pymaild.mail.flags import Flags

if TYPE_CHECKING:
    from pymaild.mail.account import Account
    from pymaild.mail.mailbox import Mailbox


def deliver(
    account: Account, pieces: Iterable[bytes], folder: str | None, name: str = ""
) -> tuple[str, int]:
    """Put a message into ``folder`` when it exists, else into INBOX.

    ``name`` is the unique name of its file, "" for any.
    Returns (mailbox name, UID). On return file, directory entry and UID are on disk. Raises
    Refused and what ``pieces`` raises; then nothing has been delivered.
    """
    account.prepare()
    with _target(account, folder) as mailbox:
        came = committed.brought(mailbox)  # by a process that died before it could say so
        if came:
            return mailbox.name, came[0]
        draft = mailbox.write(pieces, name)
        try:
            uid = mailbox.commit([(draft, Flags(), None)])[0]
        except BaseException:
            draft.discard()
            raise
    return mailbox.name, uid


def arrived(account: Account, folder: str | None) -> bool:
    """Say whether a process that died has delivered what it was about to. Raises Refused."""
    with _target(account, folder) as mailbox:
        return bool(committed.brought(mailbox))


def _target(account: Account, folder: str | None) -> Mailbox:
    """Open where the message goes: INBOX where there is no such folder to post to."""
    try:
        return account.open(folder or "INBOX", "p" if folder else "")
    except Refused as error:
        if not folder or isinstance(error, StorageFailure) or error.code not in _NO_FOLDER:
            raise
    return account.open("INBOX")


_NO_FOLDER = (Code.NONEXISTENT, Code.NOPERM)
