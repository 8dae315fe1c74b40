"""The control file of a mailbox: what cannot be rebuilt from the mail.

``pymaild.control`` holds UIDVALIDITY, MAILBOXID, the names of the keyword letters, and
reservations: every UID and every transaction number below them may have been seen by a client.
Reserving in blocks keeps the file out of the way of each single delivery.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from dataclasses import dataclass, field

from pymaild.storage import atomic
from pymaild.storage._watch import stamp
from pymaild.storage.locks import FileLock

NAME = "pymaild.control"
HEADER = "pymaild mailbox 1"
UID_BLOCK = 256
MODSEQ_BLOCK = 4096
_OBJECTID = re.compile(r"[^A-Za-z0-9_-]")  # what no identifier holds (RFC 8474 §7)


def new_mailboxid() -> str:
    """Return a MAILBOXID that no other mailbox has (RFC 8474 §4, §8.1)."""
    return f"F{secrets.token_hex(16)}"


@dataclass(slots=True)
class Control:
    """``keywords``: names in letter order, a to z; ``adopting``: another server's folder is
    being taken over, and its list of UIDs still counts; ``mailboxid`` is "" in a file that was
    written before there were any."""

    uidvalidity: int
    reserved_uid: int = 1
    reserved_modseq: int = 1
    keywords: list[str] = field(default_factory=list)
    adopting: bool = False
    mailboxid: str = field(default_factory=new_mailboxid)

    def encode(self) -> bytes:
        """Return the file's text."""
        lines = [
            HEADER,
            f"uidvalidity {self.uidvalidity}",
            f"reserved-uid {self.reserved_uid}",
            f"reserved-modseq {self.reserved_modseq}",
            *(f"keyword {name}" for name in self.keywords),
            *(["adopting 1"] if self.adopting else []),
            *([f"mailboxid {self.mailboxid}"] if self.mailboxid else []),
        ]
        return ("\n".join(lines) + "\n").encode()

    def save(self, directory: str, durable: bool = True) -> None:
        """Replace the control file of a mailbox directory. Raises OSError."""
        atomic.replace(os.path.join(directory, NAME), self.encode(), durable)

    def reserve(self, uid: int, modseq: int) -> bool:
        """Make room for numbers about to be used; true when the file must be saved first."""
        if uid < self.reserved_uid and modseq < self.reserved_modseq:
            return False
        self.reserved_uid = max(self.reserved_uid, uid + UID_BLOCK)
        self.reserved_modseq = max(self.reserved_modseq, modseq + MODSEQ_BLOCK)
        return True


def load(directory: str) -> Control | None:
    """Read a control file; None when there is none or it makes no sense.

    Raises FileNotFoundError where the directory is not there: a mailbox on its way from one name
    to another has not lost its UIDVALIDITY.
    """
    try:
        lines = _text(directory).splitlines()
    except UnicodeDecodeError:
        return None
    if not lines or lines[0] != HEADER:
        return None
    pairs = [line.partition(" ")[::2] for line in lines[1:]]
    numbers = {key: int(value) for key, value in pairs if key != "keyword" and value.isdigit()}
    if not 0 < numbers.get("uidvalidity", 0) < 2**32:
        return None
    return Control(
        numbers["uidvalidity"],
        max(1, min(numbers.get("reserved-uid", 1), 2**32 - 1)),
        max(1, numbers.get("reserved-modseq", 1)),
        [value for key, value in pairs if key == "keyword"],
        numbers.get("adopting", 0) == 1,
        _OBJECTID.sub("", dict(pairs).get("mailboxid", "")),
    )


def _text(directory: str) -> str:
    """Read by a descriptor of the directory: all is said of the one that was found."""
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(os.open(NAME, os.O_RDONLY | os.O_CLOEXEC, dir_fd=place), "rb") as file:
            return file.read(65536).decode()
    except FileNotFoundError:
        return ""
    finally:
        os.close(place)


def mailboxid(directory: str) -> str:
    """Return MAILBOXID alone, "" where there is none yet; SELECT asks for it each time."""
    path = os.path.join(directory, NAME)
    found = stamp(os.fsencode(path))
    known = _ids.get(path)
    if found is None or known is None or known[0] != found:
        held = load(directory)
        if len(_ids) >= _MOST_IDS:
            _ids.clear()
        known = _ids[path] = found, held.mailboxid if held else ""
    return known[1]


_ids: dict[str, tuple[tuple[int, int, int] | None, str]] = {}  # by path, with their stamps
_MOST_IDS = 256


def next_uidvalidity(root: str, timeout: float, durable: bool = True) -> int:
    """Return a UIDVALIDITY higher than any this account has used (RFC 9051 §2.3.1.1)."""
    path = os.path.join(root, "pymaild.uidvalidity")
    with FileLock(f"{path}.lock", timeout):
        last = _last(path)
        value = max(int(time.time()), last + 1)
        atomic.replace(path, f"{value}\n".encode(), durable)
    return value


def _last(path: str) -> int:
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(32).strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return 0
    return int(text) if text.isdigit() else 0
