"""Folders of Dovecot, Courier and mbsync: read on first sight; and the way back to Dovecot.

Reading keeps every UID, UIDVALIDITY and keyword, so that no client downloads its mail again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pymaild.mime import utf7
from pymaild.storage import atomic

KEYWORD_LETTERS = 26


@dataclass(slots=True)
class Adopted:
    """What another server knew of a mailbox.

    ``uids``: base name (without info part) to UID; ``keywords``: names in letter order;
    ``assigned``: base name to keyword names, where they do not stand in the file names;
    ``named``: the UIDs stand in the file names themselves.
    """

    uidvalidity: int
    uidnext: int
    uids: dict[bytes, int] = field(default_factory=dict)
    keywords: list[str] = field(default_factory=list)
    assigned: dict[bytes, list[str]] = field(default_factory=dict)
    named: bool = False


def adopt(directory: str) -> Adopted | None:
    """Read what another server left in a mailbox directory; None when none did."""
    for reader in _READERS:
        found = reader(directory)
        if found is not None and 0 < found.uidvalidity < 2**32:
            return found
    return None


def _lines(directory: str, name: str) -> list[bytes] | None:
    try:
        with open(os.path.join(directory, name), "rb") as file:
            return file.read().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _base(name: bytes) -> bytes:
    return name.partition(b":")[0]


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() and len(text) < 12 else 0


def _dovecot(directory: str) -> Adopted | None:
    """dovecot-uidlist, versions 1 (``1 validity next``) and 3 (``3 Vvalidity Nnext Gguid``)."""
    lines = _lines(directory, "dovecot-uidlist")
    if not lines:
        return None
    head = lines[0].split()
    if head[:1] == [b"3"]:
        values = {word[:1]: _number(word[1:]) for word in head[1:]}
        found = Adopted(values.get(b"V", 0), values.get(b"N", 1))
    elif head[:1] == [b"1"] and len(head) == 3:
        found = Adopted(_number(head[1]), _number(head[2]))
    else:
        return None
    for line in lines[1:]:
        uid, _, rest = line.partition(b" ")
        name = rest.partition(b":")[2] if head[0] == b"3" else rest
        _note(found, uid, name)
    found.keywords = _dovecot_keywords(directory)
    return found


def _note(found: Adopted, uid: bytes, name: bytes) -> None:
    number = _number(uid)
    if number and name:
        found.uids[_base(name)] = number
        found.uidnext = max(found.uidnext, number + 1)


def _dovecot_keywords(directory: str) -> list[str]:
    """dovecot-keywords: ``<number> <name>``; the number is the letter's place."""
    names: dict[int, str] = {}
    for line in _lines(directory, "dovecot-keywords") or []:
        number, _, name = line.partition(b" ")
        if number.isdigit() and int(number) < KEYWORD_LETTERS and name:
            names[int(number)] = name.decode("utf-8", "replace")
    return [names.get(place, f"unused-{place}") for place in range(max(names, default=-1) + 1)]


def _courier(directory: str) -> Adopted | None:
    """courierimapuiddb: ``1 validity next``, then ``uid name``."""
    lines = _lines(directory, "courierimapuiddb")
    head = lines[0].split() if lines else []
    if not lines or len(head) < 3 or head[0] != b"1":
        return None
    found = Adopted(_number(head[1]), _number(head[2]))
    for line in lines[1:]:
        uid, _, name = line.partition(b" ")
        _note(found, uid, name)
    _courier_keywords(directory, found)
    return found


def _courier_keywords(directory: str, found: Adopted) -> None:
    """courierimapkeywords/:list: names, an empty line, then ``file:number number...``.

    A file there with a message's name holds later changes: its keywords, one on a line.
    """
    folder = os.path.join(directory, "courierimapkeywords")
    lines = _lines(folder, ":list") or []
    stop = lines.index(b"") if b"" in lines else len(lines)
    names = [line.decode("utf-8", "replace") for line in lines[:stop]]
    for line in lines[stop + 1 :]:
        base, _, numbers = line.rpartition(b":")
        places = [int(word) for word in numbers.split() if word.isdigit()]
        if base:
            found.assigned[base] = [names[place] for place in places if place < len(names)]
    for entry in sorted(_entries(folder)):
        words = _lines(folder, os.fsdecode(entry)) or []
        found.assigned[entry] = [word.decode("utf-8", "replace") for word in words if word]
    used = dict.fromkeys(name for given in found.assigned.values() for name in given)
    found.keywords = list(dict.fromkeys([*names, *used]))[:KEYWORD_LETTERS]


def _entries(folder: str) -> Iterable[bytes]:
    try:
        return [n for n in os.listdir(os.fsencode(folder)) if n[:1] not in (b":", b".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _mbsync(directory: str) -> Adopted | None:
    """.uidvalidity of isync: validity and highest UID; the UIDs stand in the file names."""
    lines = _lines(directory, ".uidvalidity")
    if not lines or len(lines) < 2:
        return None
    return Adopted(_number(lines[0]), _number(lines[1]) + 1, named=True)


_READERS: tuple[Callable[[str], Adopted | None], ...] = (_dovecot, _courier, _mbsync)


def subscriptions(root: str) -> list[str] | None:
    """Return folder names, "/" between levels, that Dovecot or Courier had subscribed."""
    lines = _lines(root, "subscriptions")
    if lines is not None:
        if lines[0].startswith(b"V\t2"):
            names = [line.replace(b"\t", b"/") for line in lines[1:]]
        else:
            names = [line.replace(b".", b"/") for line in lines]
        return _folder_names(names)
    lines = _lines(root, "courierimapsubscribed")
    if lines is None:
        return None
    return _folder_names([line.removeprefix(b"INBOX.").replace(b".", b"/") for line in lines])


def _folder_names(names: Iterable[bytes]) -> list[str]:
    found = []
    for name in names:
        if name:
            found.append(_decode(name))
    return found


def _decode(name: bytes) -> str:
    try:
        return utf7.decode(name)
    except ValueError:
        return name.decode("utf-8", "replace")


def write_dovecot(
    directory: str,
    uidvalidity: int,
    uidnext: int,
    keywords: list[str],
    messages: Iterable[tuple[int, bytes]],
) -> None:
    """Write dovecot-uidlist and dovecot-keywords of one mailbox. ``messages``: (UID, base)."""
    guid = secrets.token_hex(16)
    lines = [f"3 V{uidvalidity} N{uidnext} G{guid}".encode()]
    lines += [b"%d :%s" % (uid, base) for uid, base in messages]
    atomic.replace(os.path.join(directory, "dovecot-uidlist"), b"\n".join(lines) + b"\n")
    words = "".join(f"{place} {name}\n" for place, name in enumerate(keywords))
    atomic.replace(os.path.join(directory, "dovecot-keywords"), words.encode())


def write_dovecot_subscriptions(root: str, names: Iterable[str]) -> None:
    """Write Dovecot's subscriptions file; levels of ``names`` are divided by "/"."""
    lines = ["V\t2", "", *(_encode(name).replace("/", "\t") for name in names)]
    atomic.replace(os.path.join(root, "subscriptions"), ("\n".join(lines) + "\n").encode())


def _encode(name: str) -> str:
    return utf7.encode(name).decode("ascii")
