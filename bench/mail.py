"""The mail that is served: the same for each server, and each server has its own copy of it.

A server's messages lie in a pool of files, the corpus again and again, of which no server knows;
mailboxes are hard links to it. So a mailbox can be had anew that no server has ever opened.
"""

from __future__ import annotations

import os
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from tests.support import corpus, maildir
from tests.support.place import give, identity

USER, PASSWORD = "alice", "secret"
SMALL, WATCHED = "bob", "carol"  # ten messages; whose client idles
TEAM, CROWD = 8, 32  # users for work done at once, and for the mixed load
MESSAGES, LISTED, CROWDED = 3000, 200, 300

_USUAL = ("Archive", "Drafts", "Junk", "Sent", "Trash")  # which one of the servers would make
_FLAGS = ("", "S", "S", "RS", "FS")


def sized(count: int) -> str:
    """The user whose INBOX has that many messages."""
    return f"mail{count}"


def team(number: int) -> str:
    """One of those who work at once."""
    return f"team{number}"


def crowd(number: int) -> str:
    """One of the users of the mixed load."""
    return f"load{number}"


def users(sizes: tuple[int, ...]) -> dict[str, str]:
    """All that log in, and their password."""
    others = [*map(team, range(TEAM)), *map(crowd, range(CROWD)), *map(sized, sizes)]
    return dict.fromkeys([USER, SMALL, WATCHED, *others], PASSWORD)


def message(size: int) -> bytes:
    """A message of about ``size`` octets, CRLF."""
    head = (
        b"From: sender@example.org\r\nTo: alice@example.org\r\nSubject: a benchmark\r\n"
        b"Date: Mon, 1 Jan 2024 10:00:00 +0000\r\nMessage-ID: <bench@example.org>\r\n\r\n"
    )
    line = b"The quick brown fox jumps over the lazy dog, again and again.\r\n"
    return head + line * ((size - len(head)) // len(line))


class Mail:
    """The mail of one server."""

    def __init__(
        self, server: Any, messages: int, sizes: tuple[int, ...], crowded: int = CROWDED
    ) -> None:
        self._server = server
        self._pool = server.base / "pool"
        self._names = self._write(max(messages, LISTED, crowded, *sizes))
        counts = {USER: messages, SMALL: 10} | {sized(count): count for count in sizes}
        counts |= {crowd(number): crowded for number in range(CROWD)}
        for user in users(sizes):
            inbox = server.maildir(user)
            self.link(inbox, counts.get(user, 0))
            self.link(inbox / ".Lists", min(LISTED, counts.get(user, 0)))
            for name in ("Drop", "Copies", *_USUAL):
                maildir.make(inbox / f".{name}")
        give(server.base / "mail")

    def link(self, folder: Path, count: int) -> None:
        """Make ``folder`` a Maildir of the first messages, their flags in a fixed pattern."""
        maildir.make(folder)
        for name, flags in zip(self._names[:count], cycle(_FLAGS), strict=False):
            os.link(self._pool / name, folder / "cur" / f"{name}:2,{flags}")

    def anew(self, user: str, name: str, count: int) -> None:
        """Give a user a mailbox that no server has seen."""
        self.link(self._server.maildir(user) / f".{name}", count)

    def _write(self, count: int) -> list[str]:
        self._pool.mkdir(exist_ok=True)
        uid, gid = identity()
        names = []
        for number, octets in enumerate(islice(cycle(corpus.list_mail(MESSAGES)), count)):
            name = f"{1700000000 + number}.M{number}P1.bench,S={len(octets)}"
            path = self._pool / name
            path.write_bytes(octets)
            if os.getuid() == 0:
                os.chown(path, uid, gid)
            names.append(name)
        return names
