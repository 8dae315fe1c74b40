"""Settings of the mail store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pymaild.core.errors import ConfigError
from pymaild.core.settings import Duration, FilePath, Size, setting
from pymaild.storage.mboxlocks import LockRules

LOCKS = frozenset(("fcntl", "flock", "dotlock", "dotlock-try"))


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Mailboxes and folders of every user."""

    SECTION: ClassVar[str] = "mail"

    separator: Literal["/", "."] = setting(
        "/", "What stands between the levels of a folder's name, as clients see it."
    )
    prefix: str = setting(
        "",
        'Prefix of the personal namespace. Set it to "INBOX." (with separator ".") where '
        "clients were set up for Courier.",
    )
    message_size: Size = setting(
        Size(100 * 1024 * 1024), "Largest message that APPEND or LMTP accepts.", low=1024
    )
    drafts: str = setting("Drafts", "The folder for drafts, made and subscribed for new users.")
    sent: str = setting("Sent", "The folder for sent mail.")
    junk: str = setting("Junk", "The folder for unwanted mail.")
    trash: str = setting("Trash", "The folder for deleted mail.")
    archive: str = setting("Archive", "The folder for archived mail.")
    important: str = setting("", "The folder for mail that is likely to be important.")
    metadata_size: Size = setting(
        Size(16 * 1024), "Largest annotation that clients may keep with a mailbox.", low=1024
    )
    metadata_entries: int = setting(
        100,
        "How many annotations a mailbox may have that are shared, and how many of each user.",
        low=10,
    )
    server_comment: str = setting(
        "", "What the server says of itself to clients that ask for annotations."
    )
    server_admin: str = setting(
        "",
        "Where users reach the administrator, told to clients that ask: an e-mail address, or "
        "a URI.",
    )
    others: str = setting(
        "Users",
        "The name above the mailboxes that other virtual users have opened to one by access "
        "control lists: Users/alice is the INBOX of alice. Empty: there are none.",
    )
    shared: str = setting("Shared", "The name above the mailboxes of shared_directory.")
    shared_directory: FilePath = setting(
        FilePath(""),
        "A Maildir whose folders belong to nobody; access control lists say who may use them. "
        "It belongs to the mail user. Empty: there is none.",
    )
    admins: tuple[str, ...] = setting(
        (),
        "Users who may change quotas, and who make mailboxes in shared_directory and say there "
        "who may use them.",
    )
    quota_storage: Size = setting(
        Size(0),
        "How much mail each user may have. Other limits of one user stand in the passwd-file "
        "(quota=2G), or are set by `pymailctl quota set`. 0: no limit.",
    )
    quota_messages: int = setting(0, "How many messages each user may have. 0: no limit.")
    quota_mailboxes: int = setting(0, "How many mailboxes each user may have. 0: no limit.")
    language: Literal["i-default", "en", "de"] = setting(
        "i-default",
        "The language for clients that leave the choice to the administrator (LANGUAGE default "
        "of IMAP, LANG * of POP3). Others get the one they ask for, and English before that.",
    )
    fulltext: int = setting(
        5000,
        "How many messages a mailbox must have to get an index of its full text. It is made in "
        "the background (server.index_processes) when somebody searches for a text there, and "
        "takes about half the room of the text itself. 0: no mailbox gets one, and all mail is "
        "read at each search.",
        low=0,
    )
    lock_timeout: Duration = setting(
        Duration(30.0),
        "How long a command waits for a mailbox that another process is changing.",
        low=0.1,
    )
    retry_timeout: Duration = setting(
        Duration(5.0),
        "How long what fails for a moment is tried again, such as a full disk or too many open "
        "files, before a command is refused. A process that has waited so long in vain refuses at "
        "once for half a minute.",
        low=0,
    )
    mbox_read_locks: tuple[str, ...] = setting(
        ("fcntl",),
        "The locks that are taken, in this order, to read an mbox file: fcntl, flock, dotlock, or "
        "dotlock-try, which goes without where the directory allows no such file. They must be "
        "those of the programs that deliver mail and of the users' own.",
    )
    mbox_write_locks: tuple[str, ...] = setting(
        ("fcntl", "dotlock-try"),
        "The locks that are taken to change an mbox file. Debian's programs take fcntl, then "
        "dotlock.",
    )
    mbox_lock_timeout: Duration = setting(
        Duration(10.0),
        "How long a command waits for an mbox file that another program has locked.",
        low=0.1,
    )
    mbox_lock_stale: Duration = setting(
        Duration(300.0),
        "How long a dotlock whose owner cannot be told must not have been touched to be nobody's.",
        low=10,
    )
    fsync: bool = setting(
        True,
        "Put mail on disk before it is acknowledged. Turn this off only where losing mail "
        "in a power failure does no harm.",
    )

    def __post_init__(self) -> None:
        for name in ("mbox_read_locks", "mbox_write_locks"):
            unknown = set(getattr(self, name)) - LOCKS
            if unknown:
                raise ConfigError(f"{name}: {min(unknown)!r} is none of {', '.join(sorted(LOCKS))}")

    def mbox_locks(self) -> LockRules:
        """Return how mbox files are locked."""
        rules = self.mbox_read_locks, self.mbox_write_locks
        return LockRules(*rules, self.mbox_lock_timeout, self.mbox_lock_stale)
