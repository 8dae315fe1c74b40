"""APPEND of several messages: all or none (RFC 3502)."""

from __future__ import annotations

import pytest

from pymaild.mail.settings import MailSettings
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

ONE = b"Subject: one\r\n\r\nfirst\r\n"
TWO = b"Subject: two\r\n\r\nsecond\r\n"
THREE = b"Subject: three\r\n\r\nthird\r\n"


def literal(data: bytes) -> bytes:
    return b"{%d+}\r\n%b" % (len(data), data)


def count(client: Client, mailbox: str = "INBOX") -> str:
    return client.told(client.ok(f"STATUS {mailbox} (MESSAGES UIDNEXT)"))[0]


def drafts(bench: ImapBench) -> list[object]:
    """Files that were left behind in tmp/."""
    return list((bench.folder / "mail" / "alice").rglob("tmp/*"))


@rfc("3502", "0", 4, 5)
def test_flags_dates_and_uids_of_each(imap: ImapBench) -> None:
    client = imap.login()
    answer = client.ok(
        b"APPEND INBOX (\\Seen $A) " + literal(ONE)
        + b' "17-Jul-1996 02:44:25 -0700" ' + literal(TWO)
        + b' (\\Draft) " 7-Feb-1994 22:43:04 -0800" ' + literal(THREE)
    )  # fmt: skip
    validity, uids = answer.tagged.code[1:]
    assert uids == "1:3"
    client.ok("SELECT INBOX")
    assert client.told(client.ok("FETCH 1:3 (UID FLAGS BODY.PEEK[])"))[2].startswith(
        "3 FETCH (UID 3 FLAGS (\\Draft) BODY[]"
    )
    fetched = client.ok("FETCH 1:3 (FLAGS INTERNALDATE BODY.PEEK[])").fetched()
    assert [fetched[seq]["FLAGS"] for seq in (1, 2, 3)] == [
        ["\\Seen", "$A"],
        ["\\Recent"],
        ["\\Draft"],
    ]
    assert fetched[2]["INTERNALDATE"] == b"17-Jul-1996 09:44:25 +0000"
    assert fetched[3]["INTERNALDATE"] == b" 8-Feb-1994 06:43:04 +0000"
    assert [fetched[seq]["BODY[]"] for seq in (1, 2, 3)] == [ONE, TWO, THREE]
    assert client.told(client.ok("STATUS INBOX (UIDVALIDITY)")) == [
        f'STATUS "INBOX" (UIDVALIDITY {validity})'
    ]


@rfc("3502", "0", 10, 11)
def test_the_selected_mailbox_tells_of_all_at_once(imap: ImapBench) -> None:
    client = imap.select()
    answer = client.ok(b"APPEND INBOX " + literal(ONE) + b" " + literal(TWO))
    assert client.told(answer) == ["2 EXISTS", "2 RECENT"]


@rfc("3502", "0", 6, 7)
@pytest.mark.parametrize(
    ("rest", "status", "code"),
    [
        (b" {0+}\r\n", "NO", ""),
        (b" (\\Seen) {0+}\r\n", "NO", ""),
        (b" {5000+}\r\n" + b"x" * 5000, "NO", "TOOBIG"),
        (b" junk", "BAD", ""),
        (b" ", "BAD", ""),
        (b"  {3+}\r\nabc", "BAD", ""),
        (b" (\\Seen {3+}\r\nabc", "BAD", ""),
        (b' "yesterday" {3+}\r\nabc', "BAD", ""),
        (b" CATENATE (URL /none/;UID=1)", "NO", "BADURL"),
        (b" (" + b" ".join(b"$k%d" % n for n in range(27)) + b") {3+}\r\nabc", "NO", "LIMIT"),
    ],
)
def test_one_that_fails_takes_all_with_it(
    imap: ImapBench, rest: bytes, status: str, code: str
) -> None:
    imap.mail = MailSettings(fsync=False, message_size=2000)  # type: ignore[arg-type]
    client = imap.select()
    answer = client.command(b"APPEND INBOX " + literal(ONE) + b" " + literal(TWO) + rest)
    assert (answer.status, answer.code) == (status, code)
    assert not answer.untagged or answer.code == "LIMIT"
    assert "MESSAGES 0 UIDNEXT 1" in count(client)
    assert drafts(imap) == []
    client.ok("NOOP")


def test_each_literal_is_refused_before_it_is_sent(imap: ImapBench) -> None:
    imap.mail = MailSettings(fsync=False, message_size=2000)  # type: ignore[arg-type]
    client = imap.login()
    for second, code in ((b"{2001}", "TOOBIG"), (b"{0}", ""), (b"(\\Seen", "")):
        client.send(b"a APPEND INBOX {%d}\r\n" % len(ONE))
        assert client.read().tag == "+"
        client.send(ONE + b" " + second + b"\r\n")
        reply = client.read()
        assert reply.tag == "a"
        assert (str(reply.code[0]) if reply.code else "") == code
    assert "MESSAGES 0" in count(client)


@rfc("3502", "0", 8, 9)
def test_no_such_mailbox(imap: ImapBench) -> None:
    client = imap.login()
    answer = client.no(b"APPEND nowhere " + literal(ONE) + b" " + literal(TWO))
    assert answer.code == "TRYCREATE"
    assert client.no("SELECT nowhere").status == "NO"


def test_literals_that_wait_and_literals_that_do_not(imap: ImapBench) -> None:
    client = imap.login()
    client.send(b"a APPEND INBOX {%d}\r\n" % len(ONE))
    assert client.read().tag == "+"
    client.trickle(ONE + b" (\\Seen) " + literal(TWO) + b" {%d}\r\n" % len(THREE))
    assert client.read().tag == "+"
    client.trickle(THREE + b"\r\nb NOOP\r\n")
    assert client.finish("a").tagged.code[2] == "1:3"
    assert client.finish("b").status == "OK"


def test_literal_minus_counts_for_every_literal(imap: ImapBench) -> None:
    """RFC 7888 §5: the second one is looked at like the first."""
    imap.configure(literal="minus")
    client = imap.login()
    answer = client.bad(b"APPEND INBOX " + literal(ONE) + b" " + literal(b"x" * 5000))
    assert answer.code == "TOOBIG"
    assert "MESSAGES 0" in count(client)


def test_a_client_that_goes_in_the_middle_leaves_nothing_behind(imap: ImapBench) -> None:
    client = imap.login()
    client.send(b"a APPEND INBOX " + literal(ONE) + b" {1000}\r\n")
    assert client.read().tag == "+"
    client.send(b"half of it")
    client.socket.shutdown(2)
    client.wait()
    assert drafts(imap) == []
    assert "MESSAGES 0" in count(imap.login())


def test_hundreds_in_one_command(imap: ImapBench) -> None:
    client = imap.login()
    answer = client.ok(b"APPEND INBOX" + b"".join(b" " + literal(ONE) for _ in range(300)))
    assert answer.tagged.code[2] == "1:300"
    assert "MESSAGES 300" in count(client)
