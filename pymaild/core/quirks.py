"""What is done otherwise than the RFCs have it because of clients: one table of switches.

A row says for which clients, what the RFC says and where, and since when it is here. The text for
the administrator is made from these; docs/clients.md tells what needs no switch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from pymaild.core.settings import About


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a switch is there: ``clients`` that need it, ``rfc`` that says otherwise, a month."""

    clients: str
    rfc: str
    since: str


def quirk(default: bool, doc: str, clients: str, rfc: str, since: str) -> Any:
    """Declare one switch. ``doc``: what it does, and what the RFC has instead."""
    about = About(f"{doc} ({rfc}; for {clients}, {since}.)")
    return field(default=default, metadata={"about": about, "reason": Reason(clients, rfc, since)})


@dataclass(frozen=True, slots=True)
class Quirks:
    """What is done otherwise than the RFCs have it, for clients that need it."""

    SECTION: ClassVar[str] = "quirks"

    absent_numbers: bool = quirk(
        True,
        "SEARCH for the numbers of messages that do not exist finds nothing; it would be an error.",
        "clients that search in ranges they remember",
        "RFC 3501 §9, seq-number",
        "2026-11",
    )
    raw_search: bool = quirk(
        True,
        "Search strings beyond ASCII without CHARSET are read as UTF-8, and where they are not, "
        "as Latin-1; they would be refused.",
        "webmail that leaves CHARSET out",
        "RFC 3501 §6.4.4",
        "2026-11",
    )
    raw_names: bool = quirk(
        True,
        'A mailbox name with an "&" that is not modified UTF-7, or with raw UTF-8, is taken as '
        "it looks; it would be refused.",
        "Thunderbird and scripts",
        "RFC 3501 §5.1.3",
        "2026-11",
    )
    append_8bit_headers: bool = quirk(
        True,
        "APPEND takes messages with octets beyond ASCII in their header from any client; they "
        "would be refused before ENABLE UTF8=ACCEPT or IMAP4rev2.",
        "programs that copy mailboxes, in which old mail has such headers",
        "RFC 6855 §4",
        "2026-11",
    )
    zero_modseq: bool = quirk(
        True,
        "CHANGEDSINCE and QRESYNC take the mod-sequence 0, which says that the client knows "
        "nothing yet; it would be an error.",
        "Apple Mail of iOS 16, Wino",
        "RFC 7162 §7, mod-sequence-value",
        "2026-11",
    )
    xlist: bool = quirk(
        True,
        "XLIST is answered though it is in no RFC and not announced; it would be unknown.",
        "Outlook 2013 and 2016",
        "RFC 6154 §1",
        "2026-11",
    )
    lsub_special_use: bool = quirk(
        True,
        "LSUB tells special uses, which belong to LIST.",
        "Outlook 2013",
        "RFC 6154 §2",
        "2026-11",
    )
    lsub_noselect: bool = quirk(
        True,
        "LSUB tells \\Noselect of a subscribed mailbox that cannot be opened; it need not tell "
        "more than that the name is subscribed.",
        "Thunderbird, which shows it in grey",
        "RFC 3501 §6.3.9",
        "2026-11",
    )
    pop3_bare_auth: bool = quirk(
        True,
        "AUTH without a mechanism lists those there are; it would be an error.",
        "Outlook",
        "RFC 5034 §4",
        "2026-11",
    )
    pop3_long_auth: bool = quirk(
        True,
        "AUTH may be as long as pop3.sasl_size, for tokens in an initial response; it would end "
        "with pop3.command_size.",
        "clients that log in by OAuth",
        "RFC 5034 §4",
        "2026-11",
    )
    pop3_raw_headers: bool = quirk(
        True,
        "RETR and TOP send header fields with octets beyond ASCII as they are, also to clients "
        "that did not ask for that by UTF8; such messages would be refused.",
        "every client that does not know UTF8, Thunderbird and Outlook among them",
        "RFC 6856 §2.1",
        "2026-11",
    )
    pop3_end_of_header: bool = quirk(
        False,
        "RETR ends a message that is nothing but a header with an empty line, which LIST does "
        "not count; it would send what there is.",
        "Outlook Express, Netscape Mail",
        "RFC 1939 §11",
        "2026-11",
    )


def reasons() -> dict[str, Reason]:
    """Return each switch by its name with the reason for it."""
    return {row.name: row.metadata["reason"] for row in fields(Quirks)}
