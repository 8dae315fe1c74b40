"""What is measured: a table of rows, each a name, its aim and the work of a lap."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from .load import handshakes, mixed, tls_bulk
from .mail import USER, sized
from .team import at_once
from .work import (
    Prepare,
    append,
    commands,
    copy_and_expunge,
    deliver,
    first_open,
    imap_login,
    pipelined,
    pop_login,
    resync,
    retrieve,
    singles,
    wake,
    whole,
)

LARGE = 100_000


@dataclass(frozen=True)
class Row:
    """One line of the table: ``aim`` is the least ratio to Dovecot that is wanted.

    ``unit`` is what is counted; ``rounds`` bounds those of a row whose lap takes long; ``grows``
    says that the row is also measured at several sizes of the mailbox, ``slow`` that a quick run
    leaves it out; ``quiet`` is how long a server must have rested before the other one's round:
    longer where work may follow later, such as names that follow flags.
    """

    name: str
    aim: float
    prepare: Prepare
    unit: str = "messages"
    user: str = USER
    rounds: float = inf
    grows: bool = False
    slow: bool = False
    quiet: float = 0.05


FLAGS = b"FETCH 1:* (UID FLAGS)"
FULL = b"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
FIELDS = b"(BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date Message-ID References)])"
BODIES = b"FETCH 1:* (BODY.PEEK[])"
PART = b"(BODY.PEEK[HEADER] BODY.PEEK[TEXT]<0.2048>)"
TOGGLE = (b"STORE 5 +FLAGS.SILENT (\\Draft)", b"STORE 5 -FLAGS.SILENT (\\Draft)")
TOGGLES = (b"STORE 1:* +FLAGS (\\Draft)", b"STORE 1:* -FLAGS (\\Draft)")
NOOP = commands(b"NOOP", times=100)
STATUS_OF_IT = b"STATUS INBOX (MESSAGES UNSEEN UIDNEXT)"
STATUS = commands(b"STATUS Lists (MESSAGES UNSEEN UIDNEXT)", times=100)
SELECT = commands(b"SELECT Lists", b"SELECT INBOX", times=10, same="exists")

COMMAND, SESSION = "commands", "sessions"

#: Faster than Dovecot: the aims, and what is measured at several sizes.
ROWS: tuple[Row, ...] = (
    Row("login", 10, imap_login, SESSION),
    Row("noop", 1.5, NOOP, COMMAND, grows=True),
    Row("status", 1.5, STATUS, COMMAND),
    Row("fetch one flags", 1.5, singles(b"(FLAGS)", "untagged"), COMMAND, grows=True),
    Row("select", 2, SELECT, COMMAND, grows=True),
    Row("select 100000", 5, SELECT, COMMAND, user=sized(LARGE), slow=True),
    Row("fetch all flags", 2, whole(FLAGS, same="untagged"), grows=True),
    Row("fetch all envelope", 10, whole(FULL, same="untagged"), grows=True),
    Row("fetch all fields", 3, whole(b"FETCH 1:* " + FIELDS, same="untagged literal"), grows=True),
    Row("fetch one body", 1, singles(b"(BODY.PEEK[])", "literal"), COMMAND),
    Row("fetch one part", 1, singles(PART, "literal"), COMMAND),
    Row("fetch all bodies", 1.5, whole(BODIES, same="untagged literal"), grows=True),
    Row("pop3 uidl retr", 1.5, retrieve),
    Row("store one", 1, commands(*TOGGLE, times=20), COMMAND, grows=True, quiet=1.2),
    Row("store all", 5, whole(*TOGGLES, same="untagged"), grows=True, quiet=1.2),
    Row("copy expunge", 1.5, copy_and_expunge, quiet=1.2),
    Row("append", 1, append(30, 4096)),
    Row("append 8 at once", 3, at_once(append(20, 4096))),
    Row("lmtp", 3, deliver(20, 4096, "carol")),
    Row("lmtp 8 at once", 5, at_once(deliver(20, 4096))),
    Row("search flags", 1, whole(b"SEARCH UNSEEN FLAGGED", same="members"), grows=True),
    Row("search subject", 2, whole(b"SEARCH SUBJECT index", same="members"), grows=True),
    Row("search body", 3, whole(b"SEARCH BODY segfault", same="members"), grows=True),
    Row("sort date", 2, whole(b"SORT (DATE) UTF-8 ALL", same="members"), grows=True),
    Row("sort subject", 2, whole(b"SORT (SUBJECT) UTF-8 ALL", same="members"), grows=True),
    Row("thread", 2, whole(b"THREAD REFERENCES UTF-8 ALL", same="members"), grows=True),
    Row("mixed 8", 1.5, mixed(8), COMMAND),
    Row("mixed 8 tls", 1.5, mixed(8, tls=True), COMMAND),
    Row("mixed 64", 1.5, mixed(64), COMMAND),
    Row("mixed 64 tls", 1.5, mixed(64, tls=True), COMMAND, slow=True),
    Row("mixed 512", 1.5, mixed(512), COMMAND, slow=True),
    Row("mixed 512 tls", 1.5, mixed(512, tls=True), COMMAND, slow=True),
    Row("tls bulk", 1, tls_bulk, "MB"),
    Row("tls handshakes", 1, at_once(handshakes(20), 4), "handshakes"),
    Row("first open select", 3, first_open(LARGE), user=sized(LARGE), slow=True, rounds=3),
    Row(
        "first open envelope",
        3,
        first_open(LARGE, FULL, same="untagged"),
        user=sized(LARGE),
        slow=True,
        rounds=2,
    ),
)

#: Measured at several sizes too: what must not grow with the mailbox.
LEVEL: tuple[Row, ...] = (
    Row("status of it", 1, commands(STATUS_OF_IT, times=20, select=""), COMMAND),
    Row("idle wake", 1, wake, "changes", quiet=1.2),
    Row("qresync", 1, resync, COMMAND),
)

#: What else is looked at; the aims are those of an ordinary command.
MORE: tuple[Row, ...] = (
    Row("pop3 login", 5, pop_login, SESSION),
    Row("noop pipelined", 1, pipelined(2000, b"NOOP"), COMMAND),
    Row("list", 1, commands(b'LIST "" "*"', times=20, same="untagged"), COMMAND),
    Row("append 1 MiB", 1, append(5, 1 << 20)),
    Row("sort from", 1, whole(b"SORT (FROM REVERSE DATE) UTF-8 UNSEEN", same="members")),
    Row("thread refs", 1, whole(b"THREAD REFS UTF-8 ALL", same="members")),
    Row("thread subject", 1, whole(b"THREAD ORDEREDSUBJECT UTF-8 ALL", same="members")),
)
