"""Reads messages out of a Maildir of any origin, and writes one.

Flags stand in the file's name (``:2,FS``), keywords as letters ``a`` to ``z`` that
``dovecot-keywords`` explains, and the arrival in the file's time.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pymaild.admin.incoming import PIECE

LETTERS = {
    "D": r"\Draft",
    "F": r"\Flagged",
    "P": "$Forwarded",
    "R": r"\Answered",
    "S": r"\Seen",
    "T": r"\Deleted",
}
KEYWORD_LETTERS = "abcdefghijklmnopqrstuvwxyz"
KEYWORDS_FILE = "dovecot-keywords"


class MaildirMessage:
    """One file; an :class:`~pymaild.admin.incoming.Incoming`."""

    def __init__(self, path: Path, keywords: dict[str, str]) -> None:
        self.path = path
        self.flags = _flags(path.name, keywords)
        self.date: float | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield the file. A link or a device is refused: it could name what is not mail."""
        handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise ValueError(f"{self.path}: not a message")
            self.date = facts.st_mtime
            while piece := file.read(PIECE):
                yield piece


class MaildirSource:
    """Messages of one folder, in the order of their arrival; ``size`` counts messages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = sorted(
            (Path(part, name) for part in ("cur", "new") for name in _names(folder / part)),
            key=lambda path: (_arrival(path.name), path.name),
        )
        self.size = len(self._names)
        self._done = 0

    def position(self) -> int:
        """Return how many messages have been read."""
        return self._done

    def messages(self) -> Iterator[MaildirMessage]:
        """Yield the messages."""
        keywords = read_keywords(self._folder)
        for name in self._names:
            yield MaildirMessage(self._folder / name, keywords)
            self._done += 1


def is_maildir(path: Path) -> bool:
    """Tell whether ``path`` is a Maildir."""
    return all((path / part).is_dir() for part in ("cur", "new"))


def subfolders(path: Path) -> dict[str, Path]:
    """Map the folders of a Maildir++ (``.Lists.imap``) to their names (``Lists.imap``), sorted."""
    folders = (
        entry for entry in path.iterdir() if entry.name.startswith(".") and is_maildir(entry)
    )
    return {folder.name[1:]: folder for folder in sorted(folders)}


def read_keywords(folder: Path) -> dict[str, str]:
    """Return the keyword behind each letter; empty where the folder has no list."""
    try:
        lines = (folder / KEYWORDS_FILE).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split(" ", 1) for line in lines if " " in line)
    return {
        KEYWORD_LETTERS[int(number)]: name
        for number, name in pairs
        if number.isdecimal() and int(number) < len(KEYWORD_LETTERS)
    }


class MaildirWriter:
    """Writes messages into a new Maildir."""

    def __init__(self, folder: Path) -> None:
        for part in ("tmp", "new", "cur"):
            (folder / part).mkdir(mode=0o700, parents=True)
        self._folder = folder
        self._keywords: dict[str, str] = {}
        self._count = 0

    def add(self, pieces: Iterable[bytes], flags: Iterable[str], date: float) -> None:
        """Write one message; its lines end in LF on disk, as delivery agents write them."""
        self._count += 1
        host = socket.gethostname().replace("/", "_").replace(":", "_")
        name = f"{int(date)}.M{time.time_ns() // 1000}P{os.getpid()}Q{self._count}.{host}"
        temporary = self._folder / "tmp" / name
        with temporary.open("xb") as file:
            for piece in _to_lf(pieces):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.utime(temporary, (date, date))
        temporary.rename(self._folder / "cur" / f"{name}:2,{self._letters(set(flags))}")

    def close(self) -> None:
        """Write what the keyword letters mean."""
        lines = [
            f"{KEYWORD_LETTERS.index(letter)} {name}\n" for name, letter in self._keywords.items()
        ]
        if lines:
            (self._folder / KEYWORDS_FILE).write_text("".join(lines), "utf-8")

    def _letters(self, flags: set[str]) -> str:
        known = [letter for letter, name in LETTERS.items() if name in flags]
        names = sorted(flag for flag in flags - set(LETTERS.values()) if flag[:1] != "\\")
        for name in names:
            if name not in self._keywords and len(self._keywords) < len(KEYWORD_LETTERS):
                self._keywords[name] = KEYWORD_LETTERS[len(self._keywords)]
        return "".join(known) + "".join(
            sorted(self._keywords[name] for name in names if name in self._keywords)
        )


def _to_lf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for piece in pieces:
        data = held + piece
        held = b"\r" if data.endswith(b"\r") else b""
        yield data[: len(data) - len(held)].replace(b"\r\n", b"\n")
    yield held


def _flags(name: str, keywords: dict[str, str]) -> set[str]:
    letters = name.partition(":2,")[2]
    meaning = {**LETTERS, **keywords}
    return {meaning[letter] for letter in letters if letter in meaning}


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]


def _arrival(name: str) -> int:
    seconds = name.partition(".")[0]
    return int(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 12 else 0
