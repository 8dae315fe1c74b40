"""Mail that does not say yet what its index says.

A STORE on many messages is done when the index says so: no flag that had its OK is lost by the
death of a process. The mail follows when the client is silent or leaves; behind half a second, at
the next command of anybody who has the mailbox open, so also where the process has died.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pymaild.core.errors import Refused
from pymaild.index import Index
from pymaild.mail.stores import FULL

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

AFTER = 500_000_000  # nanoseconds

_log = logging.getLogger("pymaild.mail")


def overdue(index: Index) -> bool:
    """Say whether nobody has seen to it for long."""
    return 0 < index.behind < time.time_ns() - AFTER


def follow(mailbox: Mailbox, index: Index) -> None:
    """Have the mail say all flags; the mailbox is locked. Raises OSError, but of a full disk."""
    try:
        mailbox.mail.follow(index, mailbox.beat)
    except OSError as error:
        if error.errno not in FULL:
            raise
        _log.warning("mail in %s does not say all flags yet: %s", mailbox.directory, error)
    mailbox.remember(index)


def catch_up(mailbox: Mailbox) -> None:
    """Do the same in a moment in which nobody waits for this mailbox, or for the last time.

    What cannot be done now is done by the next.
    """
    if mailbox.index.behind:
        with suppress(Refused, OSError), mailbox.settled():
            follow(mailbox, mailbox.index)
