"""A Maildir as Courier-IMAP 5 leaves it: its UID database, keywords and subscriptions."""

from __future__ import annotations

from pathlib import Path

from . import maildir
from .place import give

Mailboxes = dict[str, tuple[int, int, dict[int, frozenset[str]]]]


def write(inbox: Path) -> Mailboxes:
    """Fill ``inbox``; returns UIDVALIDITY, UIDNEXT and flags by UID of each mailbox."""
    names = [f"17000000{number:02d}.M{number}P1.host,S=20" for number in range(1, 5)]
    sub = maildir.make(inbox / ".Sub")
    maildir.make(inbox / ".\u00e9t")  # Courier 5 has UTF-8 on disk, older ones UTF-7
    for folder in (inbox, sub):
        for name, letters in zip(names, ("S", "", "FS", "R"), strict=True):
            (folder / "cur" / f"{name}:2,{letters}").write_bytes(b"Subject: courier\n\nx\n")
    _uids(inbox, 795420707, 12, {3: names[0], 4: names[1], 7: names[2], 11: names[3]})
    _uids(sub, 795420799, 5, {1: names[3], 2: names[2], 3: names[1], 4: names[0]})
    _keywords(inbox, ["Work", "$Forwarded"], {names[0]: [0, 1], names[1]: [1]})
    # A change not yet merged into :list stands in a file of the message's name.
    (inbox / "courierimapkeywords" / names[1]).write_text("Later\nWork\n")
    (inbox / "courierimapsubscribed").write_text("INBOX.Sub\nINBOX.\u00e9t\n")
    give(inbox)
    return {
        "INBOX": (
            795420707,
            12,
            {
                3: frozenset({"\\Seen", "Work", "$Forwarded"}),
                4: frozenset({"Later", "Work"}),
                7: frozenset({"\\Seen", "\\Flagged"}),
                11: frozenset({"\\Answered"}),
            },
        ),
        "Sub": (
            795420799,
            5,
            {
                1: frozenset({"\\Answered"}),
                2: frozenset({"\\Seen", "\\Flagged"}),
                3: frozenset(),
                4: frozenset({"\\Seen"}),
            },
        ),
    }


def _uids(folder: Path, validity: int, following: int, uids: dict[int, str]) -> None:
    lines = [f"1 {validity} {following}", *(f"{uid} {name}" for uid, name in uids.items())]
    (folder / "courierimapuiddb").write_text("\n".join(lines) + "\n")


def _keywords(folder: Path, names: list[str], given: dict[str, list[int]]) -> None:
    (folder / "courierimapkeywords").mkdir()
    rows = [f"{name}:{' '.join(map(str, places))}" for name, places in given.items()]
    text = "\n".join([*names, "", *rows]) + "\n"
    (folder / "courierimapkeywords" / ":list").write_text(text)
