"""Moves messages between mailboxes and files, in batches, with little memory."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pymaild.admin.incoming import PIECE, Incoming, Source
from pymaild.core.errors import Refused
from pymaild.mail.flags import Flags

if TYPE_CHECKING:
    from pymaild.admin.output import Output
    from pymaild.admin.progress import Progress
    from pymaild.mail.account import Account
    from pymaild.mail.mailbox import Mailbox
    from pymaild.mail.stores import Draft

BATCH_MESSAGES = 200
BATCH_OCTETS = 32 << 20


class Batch:
    """Messages that are written and wait for their UIDs; they come to stay together."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.saved = 0
        self._mailbox = mailbox
        self._waiting: list[tuple[Draft, Flags, float | None]] = []
        self._octets = 0

    def add(self, message: Incoming) -> None:
        """Write one message; with enough of them, commit."""
        draft = self._mailbox.write(message.pieces())
        try:
            flags = self._flags(message.flags)
        except BaseException:
            draft.discard()
            raise
        self._waiting.append((draft, flags, message.date))
        self._octets += draft.size
        if len(self._waiting) >= BATCH_MESSAGES or self._octets >= BATCH_OCTETS:
            self.commit()

    def commit(self) -> None:
        """Give the waiting messages their UIDs; when this returns they are on disk."""
        if self._waiting:
            self.saved += len(self._mailbox.commit(self._waiting))
        self._waiting, self._octets = [], 0

    def discard(self) -> None:
        """Forget what waits."""
        for draft, _, _ in self._waiting:
            draft.discard()
        self._waiting = []

    def _flags(self, names: set[str]) -> Flags:
        """Turn names into flags; keywords for which there is no room are left out."""
        try:
            return self._mailbox.flags(sorted(names))
        except Refused:
            return self._mailbox.flags(sorted(names), create=False)


def import_messages(mailbox: Mailbox, source: Source, progress: Progress) -> int:
    """Append all messages of ``source``; returns how many.

    What has been committed when an error or the keyboard interrupts it stays.
    """
    batch = Batch(mailbox)
    try:
        for count, message in enumerate(source.messages(), 1):
            batch.add(message)
            progress.at(source.position(), f"{count} messages")
        batch.commit()
        progress.at(source.size, f"{batch.saved} messages")
    finally:
        batch.discard()
    return batch.saved


def import_into(account: Account, name: str, source: Source, out: Output) -> int:
    """Append all messages of ``source`` to a mailbox, which is made when it is not there."""
    if not account.exists(name):
        account.create(name)
        account.subscribe(name)
    with closing(account.open(name)) as mailbox, out.progress(name, source.size) as progress:
        return import_messages(mailbox, source, progress)


class Writer(Protocol):
    """What messages are exported to."""

    def add(self, pieces: Iterable[bytes], flags: Iterable[str], date: float) -> None:
        """Write one message."""


def export_messages(account: Account, name: str, writer: Writer, progress: Progress) -> int:
    """Write all messages of a mailbox; returns how many. Their flags do not change."""
    with closing(account.open(name)) as mailbox:
        mailbox.refresh()
        view = mailbox.view()
        for seq in range(1, len(view) + 1):
            source = mailbox.message(view, seq).section((), "")
            assert source is not None  # the whole message is always there
            names = mailbox.flag_names(Flags(view.flags(seq), view.keywords(seq)))
            writer.add(source.pieces(), names, view.date(seq))
            progress.at(seq, f"{seq} messages")
        return len(view)


class TarMessage:
    """One member of an archive; an :class:`~pymaild.admin.incoming.Incoming`."""

    def __init__(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self.flags: set[str] = set()
        self.date: float | None = float(member.mtime)
        self._archive = archive
        self._member = member

    def pieces(self) -> Iterator[bytes]:
        """Yield the member's content."""
        file = self._archive.extractfile(self._member)
        assert file is not None  # only regular members come here
        with file:
            while piece := file.read(PIECE):
                yield piece


class TarSource:
    """The ``.eml`` files of a tar archive, by name; ``size`` counts them."""

    def __init__(self, path: Path) -> None:
        self._archive = tarfile.open(path)  # noqa: SIM115 - close() ends it
        members = (member for member in self._archive.getmembers() if member.isfile())
        self._members = sorted(
            (member for member in members if member.name.endswith(".eml")), key=lambda m: m.name
        )
        self.size = len(self._members)
        self._done = 0

    def position(self) -> int:
        """Return how many messages have been read."""
        return self._done

    def messages(self) -> Iterator[TarMessage]:
        """Yield the messages."""
        for member in self._members:
            yield TarMessage(self._archive, member)
            self._done += 1

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()
