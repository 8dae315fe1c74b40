"""Mailbox names on the wire (RFC 3501 §5.1.3)."""

from __future__ import annotations

import pytest

from pymaild._parser import BadSyntax
from pymaild.imap import names
from tests.imap.conftest import ImapBench

DECODED = [
    (b"INBOX", "INBOX"),
    (b"Entw&APw-rfe", "Entw\u00fcrfe"),
    (b"Tom &- Jerry", "Tom & Jerry"),
    (b"Tom & Jerry", "Tom & Jerry"),
    (b"R&D", "R&D"),
    (b"a&", "a&"),
    ("Entw\u00fcrfe".encode(), "Entw\u00fcrfe"),
    ("a&b\u00fc".encode(), "a&b\u00fc"),
    (b"&ZeVnLIqe-", "\u65e5\u672c\u8a9e"),
]


@pytest.mark.parametrize(("wire", "name"), DECODED)
def test_decode(wire: bytes, name: str) -> None:
    assert names.decode(wire) == name


def test_octets_that_are_no_name() -> None:
    with pytest.raises(BadSyntax):
        names.decode(b"\xff\xfe")


ENCODED = [
    ("INBOX", b'"INBOX"'),
    ('a"b\\c', b'"a\\"b\\\\c"'),
    ("Tom & Jerry", b'"Tom &- Jerry"'),
    ("Entw\u00fcrfe", b'"Entw&APw-rfe"'),
    ("a\tb", b'"a&AAk-b"'),
]


@pytest.mark.parametrize(("name", "wire"), ENCODED)
def test_encode(name: str, wire: bytes) -> None:
    assert names.encode(name) == wire


@pytest.mark.parametrize(
    "name", ["Entw\u00fcrfe", "R&D", 'with "quotes"', "a b", "100%", "\u65e5\u672c"]
)
def test_names_survive_the_way_there_and_back(imap: ImapBench, name: str) -> None:
    client = imap.login()
    wire = names.encode(name)
    client.ok(b"CREATE " + wire)
    octets = wire[1:-1].replace(b"\\", b"")
    assert client.no(b"CREATE {%d+}\r\n%b" % (len(octets), octets)).code == "ALREADYEXISTS"
    client.ok(b"SUBSCRIBE " + wire)
    client.ok(b"SELECT " + wire)
    client.ok(b"STATUS " + wire + b" (MESSAGES)")
    listed = client.ok('LIST "" *').named("LIST")
    assert wire in {reply.raw.split(b' "/" ')[1].rstrip() for reply in listed}
    client.ok(b"DELETE " + wire)


def test_raw_utf8_means_the_same_mailbox(imap: ImapBench) -> None:
    client = imap.login()
    client.ok("CREATE Entw&APw-rfe")
    client.ok("SELECT Entw\u00fcrfe")
    client.ok('SUBSCRIBE "Entw\u00fcrfe"')
    client.ok("CREATE Tom&-Jerry")
    client.ok("STATUS Tom&Jerry (MESSAGES)")
    client.bad(b"SELECT \xff")
