"""Settings of the LMTP service and of `pymaild deliver`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pymaild.core.settings import Duration, Size, setting


@dataclass(frozen=True, slots=True)
class LmtpSettings:
    """Delivery over LMTP and by `pymaild deliver`. How large a message may be stands in [mail]."""

    SECTION: ClassVar[str] = "lmtp"

    timeout: Duration = setting(
        Duration(300.0),
        "How long the sending server may say nothing (RFC 5321 §4.5.3.2.7 asks for five minutes).",
        low=1,
    )
    command_size: Size = setting(Size(4096), "Longest command line, its end included.", low=1024)
    recipients: int = setting(
        1000, "Most recipients of one message (RFC 5321 §4.5.3.1.8 asks for 100).", low=100
    )
    bad_commands: int = setting(
        20, "How many commands in a row may be wrong before the connection is closed.", low=1
    )
    separators: str = setting(
        "+",
        "Characters that part a user from a folder in an address: mail to alice+lists goes to the "
        "folder lists of alice if there is one, else to INBOX. Empty turns this off.",
    )
    user_names: Literal["any", "address", "local"] = setting(
        "any",
        'What of an address names a user: all of it ("address"), the part before the @ '
        '("local"), or the first of these that is one ("any").',
    )
    postmaster: str = setting(
        "", "The user who gets mail for postmaster where no user has that name."
    )
    quota_full: Literal["retry", "bounce"] = setting(
        "retry",
        "What a sending server is told when a user's quota is used up: to try again later, or to "
        "return the message.",
    )
    spool_memory: Size = setting(
        Size(256 * 1024), "Messages up to this size wait for delivery in memory.", low=0
    )
