"""Final delivery: a message into one user's mailbox, for LMTP and the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pymaild.mail.flags import Flags

if TYPE_CHECKING:
    from pymaild.mail.account import Account


def deliver(account: Account, pieces: Iterable[bytes], folder: str | None) -> tuple[str, int]:
    """Put a message into ``folder`` when it exists, else into INBOX.

    Returns (mailbox name, UID). On return file, directory entry and UID are on disk. Raises
    Refused and what ``pieces`` raises; then nothing has been delivered.
    """
    account.prepare()
    name = folder if folder and account.exists(folder) else "INBOX"
    with account.open(name) as mailbox:
        draft = mailbox.write(pieces)
        try:
            uid = mailbox.commit([(draft, Flags(), None)])[0]
        except BaseException:
            draft.discard()
            raise
    return mailbox.name, uid
