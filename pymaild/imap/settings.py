"""Settings of the IMAP protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pymaild.core.settings import Duration, Size, setting


@dataclass(frozen=True, slots=True)
class ImapSettings:
    """Limits and manners of IMAP sessions."""

    SECTION: ClassVar[str] = "imap"

    command_size: Size = setting(
        Size(64 * 1024),
        "Longest command, with all its literals except the message of APPEND. Clients that "
        "name messages one by one send long ones.",
        low=8192,
        high=16 * 1024 * 1024,
    )
    nesting: int = setting(
        50, "Deepest nesting of parentheses and search keys in a command.", low=5, high=200
    )
    notify_mailboxes: int = setting(
        1000, "The most mailboxes that one client can watch by NOTIFY.", low=1, high=100_000
    )
    literal: Literal["plus", "minus"] = setting(
        "plus",
        "Literals that clients may send without waiting: of any size (LITERAL+) or of up to "
        "4096 octets (LITERAL-).",
    )
    unauthenticated_timeout: Duration = setting(
        Duration(60.0), "How long a client may take to log in.", low=1
    )
    idle_timeout: Duration = setting(
        Duration(1800.0),
        "How long a client that has logged in may say nothing. RFC 3501 asks for 30 minutes "
        "at least. IDLE does not count as silence.",
        low=1800,
    )
    literal_timeout: Duration = setting(
        Duration(300.0),
        "How long a client that has logged in may pause in the middle of a command, in a literal "
        "for one: it keeps a process to itself meanwhile.",
        low=60,
    )
    keep_alive: Duration = setting(
        Duration(120.0),
        'How soon an idling client is told "Still here", so that no router between forgets '
        "the connection.",
        low=1,
    )
    keep_alive_max: Duration = setting(
        Duration(1500.0),
        "A client that idles without news is told so less and less often: half as long again "
        "between two times, up to this.",
        low=1,
    )
    max_bad: int = setting(20, "Faulty commands in a row before the connection is closed.", low=1)
    max_auth_failures: int = setting(10, "Failed logins before the connection is closed.", low=1)
    progress_interval: Duration = setting(
        Duration(10.0),
        "How often a client is told that its command is still under way (INPROGRESS), when that "
        "takes long. RFC 9585 §4 recommends 10 to 15 seconds.",
        low=1,
    )
    message_limit: int = setting(
        0,
        "Most messages that one FETCH, STORE, SEARCH, MOVE or UID EXPUNGE goes through, and that "
        "COPY, APPEND, SORT and THREAD take; 0 for any number. RFC 9738 §3 wants 1,000 or more. "
        "Clients that do not know of it find part of their messages missing.",
        low=0,
        high=0xFFFFFFFF,
    )
    save_limit: int = setting(
        0,
        "Most messages of one COPY or APPEND, where message_limit does not say less; 0 for any "
        "number.",
        low=0,
        high=0xFFFFFFFF,
    )
    contexts: int = setting(
        8,
        "Most searches and sorts of a session that are kept up to date (RETURN (UPDATE)).",
        low=1,
    )
    searched_mailboxes: int = setting(
        10_000, "Most mailboxes that one ESEARCH command may search.", low=1
    )
    saved_ranges: int = setting(
        10_000,
        "Most ranges of messages that SEARCH RETURN (SAVE) remembers; neighbours are one range.",
        low=100,
    )
    id: Literal["full", "name", "nothing"] = setting(
        "name",
        "What the ID command tells of this server: name and version, the name, or nothing.",
    )
    hide_capabilities: tuple[str, ...] = setting(
        (),
        "Capabilities that are not announced and cannot be enabled; what else they stand for "
        "works all the same. A listener and a user's entry (extra field "
        "`hide_capabilities=NAME,NAME`) can hide more.",
    )
