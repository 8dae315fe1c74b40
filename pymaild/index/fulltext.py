"""The full text of a mailbox: which messages may contain a text, by the trigrams in it.

A directory of segments lies beside the index. Each is a file of SQLite that never changes: a
table of FTS5 whose documents are UIDs and whose tokens are all runs of three characters, of texts
that its caller has brought into a comparison form. A file's name says for which UIDVALIDITY it
is, and has a check of its octets: one that a crash or the disk has damaged counts as missing. So
nothing is synced, readers take no lock, and a segment comes and goes by one rename or unlink.

What is found may not match, and what no segment has may match: both are looked at in the mail.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import struct
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import NamedTuple, Self
from urllib.parse import quote

from pymaild.index._files import checksum

DIRECTORY = "pymaild.text"
LOCK = "lock"  # in the directory: whoever makes segments has it
LAST = 0xFFFFFFFF  # the highest UID
GRAM = 3  # characters of a token: shorter texts cannot be asked for
MOST_GRAMS = 48  # of a text that is asked for; more would hardly make the answer smaller
_KNOWN = 512  # files that a process remembers as sound

_NAME = re.compile(r"(\d{1,10})-([0-9a-f]{16})")
_PIECE = 1 << 20  # octets that are checked at a time
_CACHE, _WRITING = -1000, -8000  # pages kept in memory, in KiB (that is what the sign says)
_TABLE = (
    "CREATE VIRTUAL TABLE texts USING fts5"
    "(text, content='', columnsize=0, detail=none, tokenize='trigram case_sensitive 1')"
)

#: UIDs as pairs of a first and a last one, ascending, with gaps between them.
Spans = list[tuple[int, int]]


def spans(uids: Iterable[int]) -> Spans:
    """Return ascending UIDs as spans."""
    found: Spans = []
    for uid in uids:
        if found and found[-1][1] == uid - 1:
            found[-1] = found[-1][0], uid
        else:
            found.append((uid, uid))
    return found


def united(sets: Iterable[Spans]) -> Spans:
    """Return the spans of the UIDs that are in any of several sets."""
    found: Spans = []
    for low, high in sorted(chain.from_iterable(sets)):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return found


def others(held: Spans) -> Spans:
    """Return the spans of all UIDs that are in none of ``held``."""
    edges = [(0, 0), *held, (LAST + 1, 0)]
    gaps = [(low[1] + 1, high[0] - 1) for low, high in pairwise(edges)]
    return [gap for gap in gaps if gap[0] <= gap[1]]


def apart(one: Spans, other: Spans) -> bool:
    """Say whether two sets of UIDs have none in common."""
    merged = sorted((*one, *other))
    return all(low[1] < high[0] for low, high in pairwise(merged))


class Segment(NamedTuple):
    """A sound file. ``held``: the UIDs that it tells of, ``left``: those that are to be looked
    at always, for they have too much text; ``size`` in octets."""

    path: str
    held: Spans
    left: Spans
    size: int

    @property
    def messages(self) -> int:
        """How many messages it has."""
        return sum(high - low + 1 for low, high in self.held)

    def having(self, text: str) -> array[int]:
        """Return the UIDs of messages with all trigrams of a text, ascending.

        Raises sqlite3.Error.
        """
        with _opened(self.path) as database:
            rows = database.execute("SELECT rowid FROM texts WHERE texts MATCH ?", (_query(text),))
            return array("I", (uid for (uid,) in rows))


def _query(text: str) -> str:
    grams = dict.fromkeys(text[at : at + GRAM] for at in range(len(text) - GRAM + 1))
    chosen = list(grams)[:: len(grams) // MOST_GRAMS + 1]
    return " AND ".join('"' + gram.replace('"', '""') + '"' for gram in chosen)


def answerable(text: str) -> bool:
    """Say whether a text can be asked for: its characters are kept as they are."""
    return len(text) >= GRAM and _plain(text) == text


def _plain(text: str) -> str:
    """NUL would end the text, and what is no character cannot be written."""
    return text.replace("\0", "\x01").encode("utf-8", "replace").decode()


@contextlib.contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    """A segment, which nobody changes: no lock is taken, no other file looked for."""
    uri = f"file:{quote(path)}?immutable=1"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        database.execute(f"PRAGMA cache_size={_CACHE}")
        yield database


# -- reading -----------------------------------------------------------------------------------

_sound: dict[tuple[int, int, int, int], None] = {}  # files that this process has checked


class Segments:
    """The segments of one mailbox, as they are now."""

    def __init__(self, directory: str, uidvalidity: int, form: str) -> None:
        """``directory`` is that of the mailbox's index.

        ``form`` names the comparison form of the texts: a segment of another one is none.
        """
        self.directory = os.path.join(directory, DIRECTORY)
        self.form = form
        self._prefix = f"{uidvalidity}-"

    def name(self, check: str) -> str:
        """Return the name of a file with this check."""
        return self._prefix + check

    def now(self) -> list[Segment]:
        """Return all that are sound and have no message in common, the largest first."""
        found = [segment for name in self._names() if (segment := self._segment(name))]
        chosen: list[Segment] = []
        for segment in sorted(found, key=lambda each: -each.messages):
            if all(apart(segment.held, other.held) for other in chosen):
                chosen.append(segment)
        return chosen

    def _names(self) -> list[str]:
        try:
            names = os.listdir(self.directory)
        except OSError:
            return []
        return [name for name in names if _NAME.fullmatch(name) and name.startswith(self._prefix)]

    def _segment(self, name: str) -> Segment | None:
        """Open a segment; None for one that is damaged, of another make, or gone."""
        path = os.path.join(self.directory, name)
        try:
            size = _checked(path, name)
            with _opened(path) as database:
                [(form, held, left)] = database.execute("SELECT form, held, left FROM uids")
            if form != self.form:
                return None
        except (OSError, sqlite3.Error, ValueError):
            return None
        return Segment(path, _unpacked(held), _unpacked(left), size)

    def clear(self, keep: Iterable[str] = ()) -> None:
        """Remove all files but those with these paths; who reads the others goes on."""
        kept = {os.path.basename(path) for path in keep}
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.directory):
                if name not in kept and name != LOCK:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(os.path.join(self.directory, name))

    def drop(self) -> None:
        """Remove the directory with all that is in it. Raises OSError."""
        self.clear()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.directory, LOCK))
            os.rmdir(self.directory)


def _checked(path: str, name: str) -> int:
    """Return a file's size. Raises ValueError where it is not what its name says, and OSError.

    The octets are read once in a process.
    """
    with open(path, "rb", buffering=0) as file:
        stat = os.fstat(file.fileno())
        key = stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
        if key not in _sound:
            if _check(iter(lambda: file.read(_PIECE), b"")) != name.partition("-")[2]:
                raise ValueError("damaged")
            if len(_sound) >= _KNOWN:
                _sound.clear()
            _sound[key] = None
    return stat.st_size


def _check(pieces: Iterable[bytes]) -> str:
    """Return a check of a file's octets, its length among them, as 16 digits."""
    low, high, size = 0, 1, 0
    for piece in pieces:
        size += len(piece)
        found = checksum(piece + bytes(-len(piece) % 8))
        low = checksum(struct.pack("<2I", low, found))
        high = checksum(struct.pack("<Q2I", size, high, found))
    return f"{low:08x}{high:08x}"


def _packed(held: Spans) -> bytes:
    return array("I", [uid for span in held for uid in span]).tobytes()


def _unpacked(octets: bytes) -> Spans:
    flat = array("I", octets)
    return list(zip(flat[::2], flat[1::2], strict=True))


# -- writing -----------------------------------------------------------------------------------


class Writer:
    """A segment in the making; the caller has the lock in :attr:`Segments.directory`.

    Memory is bounded by that of one message's text. What is not finished is no segment.
    """

    def __init__(self, segments: Segments) -> None:
        """Raises OSError and sqlite3.Error, as all methods do."""
        self._segments = segments
        self._path = os.path.join(segments.directory, "making")
        self._sealed = os.path.join(segments.directory, "made")
        self._held = array("I")
        self._left = array("I")
        self._database = self._begun()

    def _begun(self) -> sqlite3.Connection:
        for path in (self._path, self._sealed):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        database = sqlite3.connect(self._path, isolation_level=None)
        try:
            database.execute(f"PRAGMA cache_size={_WRITING}")
            for pragma in ("journal_mode=off", "synchronous=off", "locking_mode=exclusive"):
                database.execute(f"PRAGMA {pragma}")
            database.execute(_TABLE)
            database.execute("CREATE TABLE uids(form, held, left)")
            database.execute("BEGIN")
        except sqlite3.Error:
            database.close()
            raise
        return database

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        for path in (self._path, self._sealed):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def add(self, uid: int, text: str) -> None:
        """Add a message, with all its text. UIDs ascend."""
        values = uid, _plain(text)
        self._database.execute("INSERT INTO texts(rowid, text) VALUES (?, ?)", values)
        self._held.append(uid)

    def leave(self, uid: int) -> None:
        """Note a message that is to be looked at always."""
        self._left.append(uid)

    def finish(self) -> str:
        """Seal the segment and put it in its place, which is returned."""
        database = self._database
        database.execute("INSERT INTO texts(texts) VALUES ('optimize')")
        uids = self._segments.form, _packed(spans(self._held)), _packed(spans(self._left))
        database.execute("INSERT INTO uids VALUES (?, ?, ?)", uids)
        database.execute("COMMIT")
        database.execute("VACUUM INTO ?", (self._sealed,))
        with open(self._sealed, "rb", buffering=0) as file:
            check = _check(iter(lambda: file.read(_PIECE), b""))
        path = os.path.join(self._segments.directory, self._segments.name(check))
        os.rename(self._sealed, path)
        return path


__all__ = ["Segment", "Segments", "Spans", "Writer", "answerable", "others", "spans", "united"]
