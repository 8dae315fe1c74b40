"""In which format the mail of a test is stored: `--store=mbox` runs protocol tests over mbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
