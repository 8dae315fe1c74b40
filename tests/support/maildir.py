"""Maildir as other programs handle it: made, delivered into, renamed and read by hand."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable
from pathlib import Path

from .place import give

_numbers = itertools.count(1)


def make(folder: Path) -> Path:
    """A Maildir folder with its three directories."""
    for name in ("tmp", "new", "cur"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if folder.name.startswith("."):
        (folder / "maildirfolder").touch()
    return give(folder)


def drop(folder: Path, message: bytes) -> str:
    """Deliver as an MTA does: written in tmp, moved into new. Returns the file name."""
    name = f"{int(time.time())}.M{next(_numbers)}P{os.getpid()}.dropper"
    path = folder / "tmp" / name
    path.write_bytes(message)
    give(path)
    path.rename(folder / "new" / name)
    return name


def files(folder: Path) -> list[Path]:
    """All message files of a folder, those of new first."""
    return [
        path
        for part in ("new", "cur")
        for path in sorted((folder / part).iterdir())
        if path.is_file()
    ]


def base(path: Path | str) -> str:
    """The part of a name that never changes: before the first comma or colon."""
    name = path if isinstance(path, str) else path.name
    return name.partition(":")[0].partition(",")[0]


def letters(path: Path) -> str:
    """The flag letters of a file name."""
    return path.name.partition(":2,")[2]


def reflag(path: Path, flags: str) -> Path:
    """Rename as mutt does: same base name, other flag letters, moved into cur."""
    name = path.name.partition(":2,")[0] + ":2," + "".join(sorted(flags))
    target = path.parent.parent / "cur" / name
    path.rename(target)
    return target


def contents(folder: Path) -> Iterable[bytes]:
    """The octets of every message of a folder."""
    return [path.read_bytes() for path in files(folder)]
