"""Octets of messages on the short way, of many rows, and on the long one are the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product

import pytest

from pymaild.imap import items
from pymaild.mail.message import Message, What
from pymaild.mime.parts import Part
from tests.imap.conftest import ImapBench
from tests.support import corpus

#: Beside the corpus: line ends and octets that change their number on the wire.
STRANGE = (
    b"Subject: crlf\r\n\r\nalready\r\nthere\n\r\rmixed\r\n",
    b"Subject: nul\n\na\0b\n\0",
    b"Subject: none\n\n" + b"x" * 5000,
    b"\n\n\n",
)


def paths(part: Part, path: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Section numbers of all parts, and of some that are not there."""
    yield path
    below = part.children[0] if part.is_message else part
    for number, child in enumerate(below.children, 1):
        yield from paths(child, (*path, number))
    yield (*path, len(below.children) + 1)


def names(part: Part) -> Iterator[tuple[tuple[int, ...], What]]:
    """All sections that RFC 3501 §9 has."""
    kinds: tuple[What, ...] = ("", "HEADER", "TEXT", "MIME")
    for path, what in product(dict.fromkeys(paths(part)), kinds):
        if len(path) < 6 and (path or what != "MIME"):
            yield path, what


@pytest.mark.parametrize("partial", ["", "<0.10>", "<7.100>", "<3.1>", "<100000.5>", "<0.1000000>"])
def test_both_ways_agree(imap: ImapBench, partial: str) -> None:
    messages = (*corpus.mime_mail(), *STRANGE)
    imap.put("alice", *messages)
    client = imap.select()
    selected = client.running.session.current.selected
    for seq in range(1, len(messages) + 1):
        message: Message = selected.mailbox.message(selected.view, seq)
        for path, what in names(message.structure()):
            section = ".".join([*map(str, path), *([what] if what else [])])
            source = message.section(path, what)
            told = client.ok(f"FETCH {seq} (UID BODY.PEEK[{section}]{partial})").one("FETCH").raw
            whole = None if source is None else b"".join(source.pieces())
            if whole is not None and partial:
                start, count = map(int, partial[1:-1].split("."))
                whole = whole[start : start + count]
            value = b"NIL" if whole is None else b"{%d}\r\n%b" % (len(whole), whole)
            assert told.endswith(b" " + value + b")\r\n"), (seq, section)


def test_what_stands_elsewhere_is_asked_for_the_long_way(imap: ImapBench) -> None:
    """Others rename files, and write larger ones in their place."""
    imap.put("alice", *(b"Subject: %d\n\nbody %d\n" % (number, number) for number in range(4)))
    client = imap.select()
    client.ok("FETCH 1:* (BODYSTRUCTURE)")
    first, second, *_ = sorted((imap.folder / "mail" / "alice" / "Maildir" / "cur").iterdir())
    os.rename(first, f"{first}F")
    second.write_bytes(second.read_bytes() + b"grown\n")
    told = client.ok("FETCH 1:4 (BODY.PEEK[TEXT])").named("FETCH")
    assert [reply.raw.count(b"body %d" % number) for number, reply in enumerate(told[:4])] == [
        1
    ] * 4


def test_the_short_way_is_taken() -> None:
    """For all sections, and for those that set \\Seen of messages that have it."""
    plan = items.made(b"RFC822", b"RFC822.HEADER", b"RFC822.TEXT", b"UID", b"FLAGS")
    assert len(plan.row_items) == 5
    assert len(plan.row_sections) == 3
