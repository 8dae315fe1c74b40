"""Settings of the POP3 service."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from pymaild.core.errors import ConfigError
from pymaild.core.settings import Duration, Size, setting
from pymaild.pop3.uidl import UidlFormat


@dataclass(frozen=True, slots=True)
class Pop3Settings:
    """Sessions over POP3."""

    SECTION: ClassVar[str] = "pop3"

    login_timeout: Duration = setting(
        Duration(60.0), "How long a client may take until it is logged in.", low=1
    )
    idle_timeout: Duration = setting(
        Duration(600.0),
        "How long a client that is logged in may say nothing. RFC 1939 asks for ten minutes at "
        "least. The session then ends without deleting anything.",
        low=600,
    )
    command_size: Size = setting(Size(1024), "Longest command line, its end included.", low=255)
    sasl_size: Size = setting(
        Size(16384),
        "Longest line of an AUTH exchange, its end included, and longest command of a client that "
        "is not logged in: some send the first of these lines with the command.",
        low=1024,
    )
    bad_commands: int = setting(
        10, "How many commands in a row may be wrong before the connection is closed.", low=1
    )
    login_attempts: int = setting(
        5, "How many logins may fail before the connection is closed.", low=1
    )
    mark_seen: bool = setting(
        True,
        "Set the flag \\Seen on messages that RETR has sent, and take \\Recent from those it "
        "was shown.",
    )
    uidl_format: str = setting(
        "%08Xu%08Xv",
        "How UIDL names messages: %u is the UID, %v the UIDVALIDITY, %f the file's name; X makes "
        "a number hexadecimal, L and U change case, M takes the MD5 sum, 08 fills with zeros. "
        "The default is Dovecot's. To keep what clients have stored, use %v-%u or %u or %f after "
        "Courier, %v.%u after Cyrus, %08Xv%08Xu after UW ipop3d.",
    )

    login_delay: Duration = setting(
        Duration(0.0),
        "How long a user must wait from one login to the next; a login before that is refused, "
        "with [LOGIN-DELAY]. 0: no delay.",
    )
    expire: str = setting(
        "never",
        "How many days mail that a client leaves here is kept for certain, or `never` where it "
        "stays until the user deletes it. Clients are told so (EXPIRE); what deletes mail after "
        "these days is up to the site. 0: mail must not be left here, and QUIT deletes what RETR "
        "has sent.",
    )
    hide_capabilities: tuple[str, ...] = setting(
        (),
        "Capabilities that are not announced, `IMPLEMENTATION` for one; what they stand for works "
        "all the same. A listener and a user's entry (extra field "
        "`hide_capabilities=NAME,NAME`) can hide more.",
    )

    @property
    def taken_away(self) -> bool:
        """Whether mail that was retrieved does not stay (RFC 2449 §6.7, EXPIRE 0)."""
        return self.expire == "0"

    def __post_init__(self) -> None:
        if not re.fullmatch("never|0|[1-9][0-9]{0,4}", self.expire):
            raise ConfigError('pop3.expire: must be "never" or a number of days')
        try:
            UidlFormat(self.uidl_format)
        except ValueError as error:
            raise ConfigError(f"pop3.uidl_format: {error}") from None
