"""Sessions that begin with what a dead process has left in their record."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from pymaild.imap.commands import COMMANDS
from pymaild.imap.interrupted import ROWS
from tests.imap.conftest import Client, ImapBench

PLAIN = b64encode(b"\0alice\0secret") + b"\r\n"


def resumed(imap: ImapBench, unread: bytes, **left: Any) -> Client:
    """A session of a stranger, of whom so much had been received."""
    record = imap.record(greeted=True, state="not-authenticated", unread=unread, **left)
    return imap.connect(record)


def loggedin(imap: ImapBench, unread: bytes, **left: Any) -> Client:
    record = imap.record(
        greeted=True, state="authenticated", user=imap.user("alice"), unread=unread, **left
    )
    return imap.connect(record)


def ends(client: Client, tag: str, status: str) -> str:
    """Read on to a tagged reply; what stands behind it, in the next command, works."""
    answer = client.finish(tag)
    assert answer.status == status
    client.ok("NOOP")
    return answer.tagged.raw.decode()


def test_the_outbox_comes_first(imap: ImapBench) -> None:
    client = resumed(imap, b"b NOOP\r\n", outbox=b"* OK half\r\na OK done\r\n")
    assert client.read().raw == b"* OK half\r\n"
    assert client.read().raw == b"a OK done\r\n"
    ends(client, "b", "OK")


def test_a_literal_is_not_asked_for_twice(imap: ImapBench) -> None:
    client = resumed(imap, b"a LOGIN {5}\r\n", asked=b"+ OK\r\n")
    client.send(b"alice {6}\r\n")
    assert client.read().raw == b"+ OK\r\n"
    client.send(b"secret\r\n")
    ends(client, "a", "OK")


def test_a_challenge_that_stays_the_same(imap: ImapBench) -> None:
    client = resumed(imap, b"a AUTHENTICATE PLAIN\r\n", asked=b"+ \r\n")
    client.send(PLAIN)
    ends(client, "a", "OK")


@pytest.mark.parametrize(("mechanism", "code"), [("PLAIN", "UNAVAILABLE"), ("X", "CANNOT")])
def test_a_challenge_that_has_died(imap: ImapBench, mechanism: str, code: str) -> None:
    """Nobody else can judge the answers. They are not taken for commands."""
    client = resumed(
        imap,
        f"a AUTHENTICATE {mechanism}\r\n".encode(),
        asked=b"+ cj1hYmM=\r\n+ cj1hYmM=\r\n",
        again=1,
    )
    client.send(PLAIN)
    client.send(b"Yz1iaXdz\r\n")
    assert f"[{code}]" in ends(client, "a", "NO")


def test_a_literal_that_is_not_wanted_any_more(imap: ImapBench) -> None:
    """The mailbox has gone meanwhile. The message is not taken for commands."""
    client = loggedin(imap, b"a APPEND gone {12}\r\nx LOGO", asked=b"+ OK\r\n+ OK\r\n", again=1)
    client.send(b"UT\r\n\r\n {10}\r\ny LOGOUT\r\n\r\n")
    assert "[TRYCREATE]" in ends(client, "a", "NO")


DEADLY = [
    (b"a NOOP\r\n", b"", b"a NOOP\r\n"),
    (b"a LOGIN alice secret\r\n", b"", b"a LOGIN"),
    (b"a login {5}\r\nalice {6}\r\nsecret\r\n", b"+ OK\r\n+ OK\r\n", b"a login"),
    (b"a LOGIN {5}\r\nal", b"+ OK\r\n", b"a LOGIN"),
    (b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n", b"a AUTHENTICATE"),
    (b"a SEARCH TEXT {3}\r\n", b"", b"a SEARCH TEXT {3}\r\n"),
    (b"a SEARCH TEXT {3+}\r\nabc\r\n", b"", b"a SEARCH TEXT {3+}\r\nabc\r\n"),
    (b"a NO\0OP\r\n", b"", b"a NO\0OP\r\n"),
]


@pytest.mark.parametrize(("unread", "asked", "kept"), DEADLY)
def test_what_kills_is_refused(imap: ImapBench, unread: bytes, asked: bytes, kept: bytes) -> None:
    """It is read to its end, and kept without its secrets."""
    client = resumed(imap, unread, asked=asked, again=2)
    if unread.endswith(b"{5}\r\nal"):
        client.send(b"ice secret\r\n")
    elif b"AUTHENTICATE" in unread:
        client.send(PLAIN)
    assert "[SERVERBUG]" in ends(client, "a", "NO")
    assert imap.board.incidents == [kept]


def test_only_the_command_that_kills_is_refused(imap: ImapBench) -> None:
    client = resumed(imap, b"a NOOP\r\nb CAPABILITY\r\n", again=2)
    assert client.finish("a").status == "NO"
    ends(client, "b", "OK")


def test_who_dies_in_idle_has_to_go(imap: ImapBench) -> None:
    client = loggedin(imap, b"", idling="a", again=2)
    assert client.read().name == "BYE"
    assert client.ended()


def test_idle_goes_on(imap: ImapBench) -> None:
    client = loggedin(imap, b"DO", idling="a", again=1)
    client.send(b"NE\r\n")
    ends(client, "a", "OK")
    left = client.running.left()
    assert left is not None
    assert left.again == 0
    assert client.record.again == 0


@pytest.mark.parametrize(
    ("lost", "unread", "rest"),
    [
        (5, b"", b"xxxxx\r\n"),
        (0, b"", b"\r\n"),
        (0, b" {3+}\r\nab", b"c)\r\n"),
        (3, b"", b'abc {2+}\r\nxx "\r\n'),
    ],
)
def test_what_was_lost_is_thrown_away(
    imap: ImapBench, lost: int, unread: bytes, rest: bytes
) -> None:
    client = loggedin(imap, unread, lost=lost, head=b"a APPEND INBOX {99}\r\nxxx")
    client.send(rest)
    assert "[UNAVAILABLE]" in ends(client, "a", "NO")


def test_every_command_says_how_it_runs_again() -> None:
    assert ROWS.keys() == {name.decode() for name in COMMANDS}
