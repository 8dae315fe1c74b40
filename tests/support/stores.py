"""In which format the mail of a test is stored: `--store=mbox` runs protocol tests over mbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pymaild.core.session import User
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.stores.mbox_tree import OWN

FORMATS = ("maildir", "mbox")
_chosen = [FORMATS[0]]


def choose(name: str) -> None:
    """Let all accounts that are made from now on be of this format."""
    _chosen[0] = name


def chosen() -> str:
    """Return the format of accounts."""
    return _chosen[0]


def settings(folder: Path) -> dict[str, Any]:
    """Return what [auth] says of the format; new mail lies in ``folder``."""
    return {"mail_format": chosen(), "mbox_inbox": f"{folder}/{{user}}/inbox"}


def inbox(mail: Path | str) -> str:
    """Return the inbox of a user whose mail is there, "" in a Maildir."""
    return str(Path(mail).parent / "inbox") if chosen() == "mbox" else ""


def directory(mail: Path) -> Path:
    """Return where the index of an INBOX lies, its lock and what belongs to it."""
    return mail / OWN if chosen() == "mbox" else mail


def drafts(mail: Path) -> list[Path]:
    """Return what was written for INBOX and is not yet in it."""
    if chosen() == "mbox":
        return list(directory(mail).glob("*.draft"))
    return list((mail / "tmp").iterdir())


def ended(message: bytes) -> bytes:
    """Return a message as it is kept: the last line of one in an mbox has an end."""
    return message if chosen() == "maildir" or message.endswith(b"\n") else message + b"\r\n"


def user(path: Path) -> User:
    """A user all of whose mail is below one directory."""
    return User(name="u", mail=str(path), inbox=f"{path}/inbox" if chosen() == "mbox" else "")


def drop(box: Mailbox, octets: bytes) -> None:
    """Deliver a message with LF line ends as another program does."""
    if chosen() == "maildir":
        Path(box.directory, "new", "9.others.host").write_bytes(octets)
        return
    with open(box.mail.paths[0], "ab") as file:
        file.write(b"From other Mon Nov 23 17:35:50 2026\n" + octets + b"\n")
