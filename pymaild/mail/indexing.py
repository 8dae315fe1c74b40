"""Work on mailboxes for which nobody waits, asked for by whoever comes upon what is missing.

Whoever takes a task passes what is left of it on before it begins, so that as many processes
work on one mailbox as are free, and many mailboxes take turns. They begin with the youngest
messages, for those are looked at first. A task that is lost, with the process that had it, is
asked for again by the next session that comes upon the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from pymaild.core.errors import Code, Refused
from pymaild.mail import fulltext
from pymaild.mail.account import Account
from pymaild.mail.helpers import Ask, Task
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.message import Message
from pymaild.mail.settings import MailSettings

CHUNK = 500  # messages that are cached before others may have their turn

Beat = Callable[[], object]

_log = logging.getLogger("pymaild.mail")


def work(task: Task, settings: MailSettings, spread: Ask, beat: Beat) -> None:
    """Do a part of a task, and give what is left of it to ``spread``. Raises Refused.

    ``beat`` is called at each step that can take long.
    """
    account = Account(task.user, replace(settings, prefix=task.prefix))
    with account.open(task.mailbox) as box:
        _WORK[task.kind](box, task, spread, beat)


def _cache(box: Mailbox, task: Task, spread: Ask, beat: Beat) -> None:
    """Make the entries of the youngest messages that have none."""
    index = box.index
    rows = index.uncached(task.below, CHUNK)
    if len(rows) == CHUNK:
        spread(replace(task, below=index.fields(rows[-1])[0]))
    for row in rows:
        if index.superseded:
            return
        _fill(Message(box, index, row))
        beat()


def _fill(message: Message) -> None:
    """One that cannot be understood, by a fault of ours, must not keep the others waiting."""
    try:
        message.entry()
    except Refused as refused:
        if refused.code != Code.EXPUNGEISSUED:
            raise
    except Exception:
        _log.exception("a message cannot be indexed: uid=%d", message.uid)


def _text(box: Mailbox, task: Task, spread: Ask, beat: Beat) -> None:
    """Make one segment of the full text."""
    if fulltext.extend(box, beat):
        spread(task)


_WORK: dict[str, Callable[[Mailbox, Task, Ask, Beat], None]] = {"cache": _cache, "text": _text}
