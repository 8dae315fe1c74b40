"""`pymailctl import` and `export`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO

from pymaild.admin import mbox
from pymaild.admin.commands import Argument, Command
from pymaild.admin.exits import Exit, Failure
from pymaild.admin.incoming import Source
from pymaild.admin.mail_commands import MAILBOX, USER
from pymaild.admin.maildir import MaildirSource, MaildirWriter, is_maildir, subfolders
from pymaild.admin.output import Output
from pymaild.admin.people import open_account
from pymaild.admin.transfer import Writer, export_messages, import_into
from pymaild.mail.account import Account
from pymaild.mime import utf7


class MboxWriter:
    """A :class:`~pymaild.admin.transfer.Writer` of one mbox file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(self, pieces: Iterable[bytes], flags: Iterable[str], date: float) -> None:
        """Append one message."""
        mbox.write_message(self._file, pieces, flags, date)

    def close(self) -> None:
        """Put the file on disk, where it is one."""
        self._file.flush()
        if self._file.seekable():
            os.fsync(self._file.fileno())
        self._file.close()


def _import(args: Namespace, out: Output) -> Exit:
    path = Path(args.path)
    with ExitStack() as stack:
        # what only root may read is opened before root's rights are given up
        sources = list(_sources(path, args.mailbox, args.subfolders, stack))
        account = open_account(args)
        counts = {name: _take(account, name, source, out) for name, source in sources}
    total = sum(counts.values())
    out.result(
        {"imported": total, "mailboxes": counts},
        *(f"{name}: {count} imported" for name, count in counts.items()),
    )
    return Exit.OK


def _sources(
    path: Path, mailbox: str, below: bool, stack: ExitStack
) -> Iterator[tuple[str, Source]]:
    """Yield the sources in ``path``, and the mailbox that each goes to."""
    if not path.is_dir():
        yield mailbox, mbox.MboxSource(stack.enter_context(path.open("rb")))
        return
    if not is_maildir(path):
        raise Failure(Exit.DATA, f"{path} is neither an mbox file nor a Maildir")
    yield mailbox, MaildirSource(path)
    for name, folder in subfolders(path).items() if below else ():
        yield _folder_name(name), MaildirSource(folder)


def _folder_name(name: str) -> str:
    """Turn a Maildir++ folder (``Lists.imap``, modified UTF-7) into a mailbox's name."""
    try:
        decoded = utf7.decode(name.encode())
    except ValueError:
        decoded = name
    return decoded.replace(".", "/")


def _take(account: Account, name: str, source: Source, out: Output) -> int:
    try:
        return import_into(account, name, source, out)
    except ValueError as error:
        raise Failure(Exit.DATA, str(error)) from None


def _export(args: Namespace, out: Output) -> Exit:
    if args.path == "-" and (args.format == "maildir" or out.json):
        raise Failure(Exit.USAGE, "only an mbox, without --json, can go to standard output")
    with ExitStack() as stack:
        early = _open_mbox(args.path) if args.format == "mbox" else None
        account = open_account(args)
        writer = MboxWriter(early) if early else MaildirWriter(Path(args.path))
        stack.callback(writer.close)
        count = _copy(account, args.mailbox, writer, out)
    if args.path != "-":
        out.result({"exported": count}, f"{count} exported to {args.path}")
    return Exit.OK


def _open_mbox(path: str) -> BinaryIO:
    """Open a new file for its owner alone, before root's rights are given up."""
    if path == "-":
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    return os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
    )


def _copy(account: Account, name: str, writer: Writer, out: Output) -> int:
    with closing(account.open(name)) as mailbox:
        total = mailbox.status().messages
    with out.progress(name, total) as progress:
        return export_messages(account, name, writer, progress)


_FORMAT = Argument(
    ("--format",), "What to write.", {"choices": ("mbox", "maildir"), "default": "mbox"}
)

COMMANDS = (
    Command(
        ("import",),
        "Add the messages of an mbox file (gzipped or not) or of a Maildir to a mailbox, which "
        "is made when it is not there. Flags, keywords and dates of arrival are kept. Messages "
        "are added some hundred at a time; after an interruption those that were added stay.",
        _import,
        (
            USER,
            Argument(("path",), "The mbox file or the Maildir.", {"metavar": "PATH"}),
            Argument(
                ("--mailbox",), "The mailbox to add to.", {"metavar": "MAILBOX", "default": "INBOX"}
            ),
            Argument(
                ("--subfolders",),
                "Import the folders of a Maildir++ as well, to mailboxes of the same names.",
                {"action": "store_true"},
            ),
        ),
    ),
    Command(
        ("export",),
        "Write the messages of a mailbox to a new mbox file or Maildir. Nothing is changed in "
        "the mailbox.",
        _export,
        (
            USER,
            MAILBOX,
            Argument(
                ("path",),
                "The file or folder to make; `-` is standard output.",
                {"metavar": "PATH"},
            ),
            _FORMAT,
        ),
    ),
)
